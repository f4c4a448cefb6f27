SELECT landing_id FROM ops.landings
WHERE vendor = :vendor AND endpoint = :endpoint
ORDER BY fetched_at, landing_id;
