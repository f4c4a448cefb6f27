SELECT vendor, endpoint, key, error, attempts, failed_at, resolved_at
FROM ops.run_failures
WHERE dag_id = :dag_id AND run_id = :run_id
ORDER BY resolved_at IS NOT NULL, vendor, endpoint, key
LIMIT :most
