-- more than a few ratings refused, and more than a quarter of what came
SELECT q.rows AS quarantined, b.rows AS staged
FROM (SELECT count(*) AS rows FROM ops.quarantine WHERE stage_id = '{stage_id}' AND left(rule, 8) <> 'override') AS q
CROSS JOIN (SELECT sum(rows) AS rows FROM ops.stage_batches WHERE stage_id = '{stage_id}') AS b
WHERE q.rows > 20 AND q.rows > 0.25 * b.rows AND NOT EXISTS (SELECT FROM {batch} WHERE false)
