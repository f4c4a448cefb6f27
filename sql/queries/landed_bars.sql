-- The newest landed answer of each key. :vendor text, :endpoint text, :keys text[]
SELECT DISTINCT ON (key) key, landing_id, answered_at
FROM ops.landings WHERE vendor = :vendor AND endpoint = :endpoint AND key = ANY(CAST(:keys AS text[]))
ORDER BY key, fetched_at DESC, landing_id DESC;
