SELECT l.ledger_id, l.stage_id, l.dataset, l.partition_key, l.content_sha256, l.parser_version, l.rows_in, l.rows_inserted,
       l.rows_updated, l.rows_deleted, l.rows_unchanged, l.rows_older, l.rows_duplicate, l.rows_quarantined,
       l.dag_id, l.run_id, l.loaded_at
FROM ops.load_ledger AS l
JOIN ops.stages AS s ON s.stage_id = l.stage_id AND s.round = l.round
WHERE l.stage_id = :stage_id;
