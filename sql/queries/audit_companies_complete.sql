SELECT count(*) AS expected, count(b.cik) AS found
FROM (
    SELECT cik::bigint AS cik, coalesce((s.expected ->> 'min_share')::double precision, 0.5) AS min_share
    FROM ops.stages AS s CROSS JOIN LATERAL jsonb_array_elements_text(s.expected -> 'ciks') AS cik
    WHERE s.stage_id = '{stage_id}'
) AS e
LEFT JOIN (SELECT DISTINCT r.cik FROM {batch} AS r) AS b ON b.cik = e.cik
HAVING count(b.cik) < max(e.min_share) * count(*)
