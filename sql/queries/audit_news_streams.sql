-- streams of news that could not be read, and have not been since; a vendor's name where tickers narrowed it
SELECT key AS stream, error FROM ops.fetch_failures
WHERE resolved_at IS NULL
  AND (vendor, endpoint) IN (('polygon', 'news'), ('marketaux', 'news'), ('tiingo', 'news'), ('web', 'page'))
  AND (vendor = 'web' OR split_part(key, ':', 1) = vendor) -- other keys are of files and of replays, which say so
  AND NOT EXISTS (SELECT FROM {batch} WHERE false)
ORDER BY vendor, key
