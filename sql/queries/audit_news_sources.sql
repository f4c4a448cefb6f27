-- web pages that could not be read, and have not been since
SELECT key AS source, error FROM ops.fetch_failures
WHERE vendor = 'web' AND resolved_at IS NULL AND NOT EXISTS (SELECT FROM {batch} WHERE false)
ORDER BY key
