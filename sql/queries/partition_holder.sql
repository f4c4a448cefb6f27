SELECT dag_id, run_id FROM ops.partition_claims WHERE table_name = :table AND partition_key = :partition_key
