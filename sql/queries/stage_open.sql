INSERT INTO ops.stages (stage_id, dag_id, run_id, table_name, part, partition_key, expected, asked, status)
VALUES (:stage_id, :dag_id, :run_id, :table, :part, :partition_key, CAST(:expected AS jsonb), CAST(:asked AS json), 'open');
