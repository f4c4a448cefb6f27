INSERT INTO ops.stages (stage_id, dag_id, run_id, table_name, partition_key, expected, status)
VALUES (:stage_id, :dag_id, :run_id, :table, :partition_key, CAST(:expected AS jsonb), 'open');
