-- batches whose rows are not what was recorded: a crash of PostgreSQL empties an UNLOGGED table
SELECT coalesce(b.batch_id, s.batch_id) AS batch_id, coalesce(b.rows, 0) AS recorded, coalesce(s.rows, 0) AS found
FROM (SELECT batch_id, rows FROM ops.stage_batches WHERE stage_id = :stage_id) AS b
FULL JOIN (SELECT batch_id, count(*) AS rows FROM {stage} GROUP BY batch_id) AS s ON s.batch_id = b.batch_id
WHERE coalesce(b.rows, 0) <> coalesce(s.rows, 0)
ORDER BY 1;
