SELECT s.table_name, s.partition_key, s.status, s.opened_at, s.published_at,
       count(b.batch_id) AS batches, coalesce(sum(b.rows), 0)::bigint AS rows_staged,
       l.rows_in, l.rows_inserted, l.rows_updated, l.rows_deleted, l.rows_unchanged, l.rows_older, l.rows_quarantined
FROM ops.stages s
LEFT JOIN ops.stage_batches b ON b.stage_id = s.stage_id
LEFT JOIN ops.load_ledger l ON l.stage_id = s.stage_id AND l.round = s.round
WHERE s.dag_id = :dag_id AND s.run_id = :run_id
GROUP BY s.stage_id, l.ledger_id
ORDER BY s.opened_at, s.table_name
