SELECT stage_id, dag_id, run_id, table_name, partition_key, expected, status, round, opened_at, audited_at
FROM ops.stages
WHERE stage_id = :stage_id;
