-- A key that came well, of whichever runs failed at it, but for the run :besides_run (text or null). :vendor, :endpoint,
-- :key text
WITH of_runs AS (
    UPDATE ops.run_failures SET resolved_at = clock_timestamp()
    WHERE vendor = :vendor AND endpoint = :endpoint AND key = :key AND resolved_at IS NULL
      AND run_id IS DISTINCT FROM CAST(:besides_run AS text)
)
UPDATE ops.fetch_failures SET resolved_at = clock_timestamp()
WHERE vendor = :vendor AND endpoint = :endpoint AND key = :key AND resolved_at IS NULL
  AND run_id IS DISTINCT FROM CAST(:besides_run AS text);
