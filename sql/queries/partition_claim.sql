INSERT INTO ops.partition_claims AS held (table_name, partition_key, dag_id, run_id)
VALUES (:table, :partition_key, :dag_id, :run_id)
ON CONFLICT (table_name, partition_key) DO UPDATE
SET dag_id = excluded.dag_id, run_id = excluded.run_id, claimed_at = clock_timestamp()
WHERE (held.dag_id, held.run_id) = (CAST(:ended_dag_id AS text), CAST(:ended_run_id AS text))
