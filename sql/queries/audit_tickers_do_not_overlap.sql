SELECT s.ticker, s.security_id, s.valid_from, t.security_id AS other_security_id, t.valid_from AS other_valid_from
FROM {batch} AS s
JOIN (
    SELECT ticker, security_id, valid_from, valid_to FROM {batch} AS staged
    UNION
    SELECT p.ticker, p.security_id, p.valid_from, p.valid_to
    FROM closingbell.ticker_history AS p
    WHERE NOT EXISTS (SELECT FROM {batch} AS r WHERE r.ticker = p.ticker AND r.valid_from = p.valid_from)
) AS t ON t.ticker = s.ticker AND t.security_id <> s.security_id
    AND s.valid_from BETWEEN t.valid_from AND coalesce(t.valid_to, 'infinity')
    AND coalesce(s.valid_to, 'infinity') >= s.valid_from
ORDER BY 1
LIMIT 200
