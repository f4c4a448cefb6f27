-- Of the run, and of the key whichever run asks for it.
WITH of_run AS (
    INSERT INTO ops.run_failures AS f (vendor, endpoint, key, error, dag_id, run_id)
    VALUES (:vendor, :endpoint, :key, :error, :dag_id, :run_id)
    ON CONFLICT (dag_id, run_id, vendor, endpoint, key) DO UPDATE
    SET error = excluded.error, attempts = f.attempts + 1, failed_at = clock_timestamp(), resolved_at = NULL
)
INSERT INTO ops.fetch_failures AS f (vendor, endpoint, key, error, dag_id, run_id)
VALUES (:vendor, :endpoint, :key, :error, :dag_id, :run_id)
ON CONFLICT (vendor, endpoint, key) DO UPDATE
SET error = excluded.error,
    attempts = CASE WHEN f.resolved_at IS NULL THEN f.attempts + 1 ELSE 1 END,
    dag_id = excluded.dag_id, run_id = excluded.run_id, failed_at = clock_timestamp(), resolved_at = NULL;
