-- Every pair of :tables and :keys for one run, whoever had it: its holders have ended (see orchestration/partitions.py).
INSERT INTO ops.partition_claims AS held (table_name, partition_key, dag_id, run_id, by_command)
SELECT t.name, k.key, :dag_id, :run_id, :by_command
FROM unnest(CAST(:tables AS text[])) AS t (name) CROSS JOIN unnest(CAST(:keys AS text[])) AS k (key)
ON CONFLICT (table_name, partition_key) DO UPDATE
SET dag_id = excluded.dag_id, run_id = excluded.run_id, by_command = excluded.by_command, claimed_at = clock_timestamp()
WHERE (held.dag_id, held.run_id) <> (excluded.dag_id, excluded.run_id)
