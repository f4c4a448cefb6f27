-- streams of news that could not be read, and have not been since, by name (a vendor's where tickers narrowed it); and the
-- files or replayed answers that this run could not read
SELECT f.key AS stream, f.error
FROM ops.fetch_failures AS f
JOIN ops.stages AS s ON s.stage_id = '{stage_id}'
WHERE f.resolved_at IS NULL
  AND (vendor, endpoint) IN (('polygon', 'news'), ('marketaux', 'news'), ('tiingo', 'news'), ('web', 'page'), ('fnspid', 'csv'))
  AND (vendor = 'web' OR split_part(key, ':', 1) = vendor OR (f.dag_id, f.run_id) = (s.dag_id, s.run_id))
  AND NOT EXISTS (SELECT FROM {batch} WHERE false)
ORDER BY vendor, key
