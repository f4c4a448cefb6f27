SELECT b.rows AS staged, q.rows AS quarantined
FROM (SELECT sum(rows) AS rows FROM ops.stage_batches WHERE stage_id = '{stage_id}') AS b
CROSS JOIN (SELECT count(*) AS rows FROM ops.quarantine WHERE stage_id = '{stage_id}' AND left(rule, 8) <> 'override') AS q
WHERE q.rows > {few_quarantined} AND q.rows > {max_quarantined} * b.rows AND NOT EXISTS (SELECT FROM {batch} WHERE false)
