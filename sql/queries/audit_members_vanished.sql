-- More than a fifth of the S&P 500, and more than a few, are members no longer: the list that came was cut.
SELECT p.index_name, count(*) AS members, count(e.security_id) AS ended
FROM closingbell.index_members AS p
LEFT JOIN (
    SELECT DISTINCT s.index_name, s.security_id
    FROM {batch} AS s
    WHERE s.valid_to IS NOT NULL AND NOT EXISTS (
        SELECT FROM {batch} AS o
        WHERE o.index_name = s.index_name AND o.security_id = s.security_id AND o.valid_to IS NULL)
) AS e ON e.index_name = p.index_name AND e.security_id = p.security_id
WHERE p.valid_to IS NULL AND p.index_name = 'sp500'
GROUP BY p.index_name
HAVING count(e.security_id) > greatest(5, count(*) / 5)
