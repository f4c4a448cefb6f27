-- A key that came well, of whichever runs failed at it. :vendor, :endpoint, :key text
WITH of_runs AS (
    UPDATE ops.run_failures SET resolved_at = clock_timestamp()
    WHERE vendor = :vendor AND endpoint = :endpoint AND key = :key AND resolved_at IS NULL
)
UPDATE ops.fetch_failures SET resolved_at = clock_timestamp()
WHERE vendor = :vendor AND endpoint = :endpoint AND key = :key AND resolved_at IS NULL;
