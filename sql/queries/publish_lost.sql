-- whether a batch has not the rows that the audit left it: a crash of PostgreSQL empties an UNLOGGED table
SELECT EXISTS (
    SELECT
    FROM (SELECT batch_id, rows - quarantined - duplicates AS rows FROM ops.stage_batches WHERE stage_id = :stage_id) AS b
    FULL JOIN (SELECT batch_id, sum(rows) AS rows FROM landed GROUP BY batch_id) AS s ON s.batch_id = b.batch_id
    WHERE coalesce(b.rows, 0) <> coalesce(s.rows, 0)
);
