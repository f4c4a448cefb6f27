-- Tickers whose events failed to come or could not be read, and those that came since, of which no run has published what
-- they tell: what resolves a failure is that an answer could be read.
SELECT f.key
FROM ops.fetch_failures AS f
WHERE f.vendor = 'polygon' AND f.endpoint = 'ticker_events'
  AND (f.resolved_at IS NULL OR NOT EXISTS (
      SELECT FROM ops.landings AS l
      JOIN ops.published_landings AS p ON p.table_name = 'ticker_history' AND p.landing_id = l.landing_id
      WHERE l.vendor = f.vendor AND l.endpoint = f.endpoint AND l.key = f.key AND p.published_at >= f.resolved_at
  ))
ORDER BY f.key;
