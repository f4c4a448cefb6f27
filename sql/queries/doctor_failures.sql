-- Open fetch failures by vendor and endpoint, with one of the errors.
SELECT vendor, endpoint, count(*) AS failures, min(failed_at) AS since, (array_agg(error ORDER BY failed_at DESC))[1] AS error
FROM ops.fetch_failures
WHERE resolved_at IS NULL
GROUP BY vendor, endpoint
ORDER BY failures DESC;
