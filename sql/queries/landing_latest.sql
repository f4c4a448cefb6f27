SELECT DISTINCT ON (key) key, landing_id
FROM ops.landings
WHERE vendor = :vendor AND endpoint = :endpoint AND (CAST(:keys AS text[]) IS NULL OR key = ANY(:keys))
ORDER BY key, fetched_at DESC, landing_id DESC;
