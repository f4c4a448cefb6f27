SELECT rule, count(*) AS rows
FROM ops.quarantine
WHERE stage_id = '{stage_id}' AND left(rule, 8) <> 'override' AND NOT EXISTS (SELECT FROM {batch} WHERE false)
GROUP BY rule
