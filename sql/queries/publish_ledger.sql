INSERT INTO ops.load_ledger (stage_id, round, dataset, partition_key, content_sha256, parser_version, rows_in, rows_inserted,
    rows_updated, rows_deleted, rows_unchanged, rows_older, rows_duplicate, rows_quarantined, dag_id, run_id)
SELECT stage_id, round, table_name, partition_key, :content_sha256, :parser_version, :rows_in, :rows_inserted,
    :rows_updated, :rows_deleted, :rows_unchanged, :rows_older, :rows_duplicate, :rows_quarantined, dag_id, run_id
FROM ops.stages
WHERE stage_id = :stage_id;
