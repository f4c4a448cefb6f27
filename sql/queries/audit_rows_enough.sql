SELECT (s.expected ->> 'min_rows')::bigint AS expected, b.found
FROM ops.stages AS s
CROSS JOIN (SELECT count(*) AS found FROM {batch}) AS b
WHERE s.stage_id = '{stage_id}' AND b.found < (s.expected ->> 'min_rows')::bigint
