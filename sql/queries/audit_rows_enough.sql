-- rows are counted only where the run says how many there must be
SELECT (s.expected ->> 'min_rows')::bigint AS expected, b.found
FROM ops.stages AS s
CROSS JOIN LATERAL (SELECT count(*) AS found FROM {batch} WHERE s.expected ->> 'min_rows' IS NOT NULL) AS b
WHERE s.stage_id = '{stage_id}' AND b.found < (s.expected ->> 'min_rows')::bigint
