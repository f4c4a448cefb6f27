-- Each of :tables with its key of :keys (text[] of one length) for one run, whoever had it: its holders have ended (see
-- orchestration/partitions.py).
INSERT INTO ops.partition_claims AS held (table_name, partition_key, dag_id, run_id, by_command)
SELECT w.name, w.key, :dag_id, :run_id, :by_command
FROM unnest(CAST(:tables AS text[]), CAST(:keys AS text[])) AS w (name, key)
ON CONFLICT (table_name, partition_key) DO UPDATE
SET dag_id = excluded.dag_id, run_id = excluded.run_id, by_command = excluded.by_command, claimed_at = clock_timestamp()
WHERE (held.dag_id, held.run_id) <> (excluded.dag_id, excluded.run_id)
