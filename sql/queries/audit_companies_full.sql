SELECT e.cik
FROM (
    SELECT cik::bigint AS cik
    FROM ops.stages AS s CROSS JOIN LATERAL jsonb_array_elements_text(s.expected -> 'ciks') AS cik
    WHERE s.stage_id = '{stage_id}'
) AS e
LEFT JOIN (SELECT DISTINCT r.cik FROM {batch} AS r) AS b ON b.cik = e.cik
WHERE b.cik IS NULL
ORDER BY 1
