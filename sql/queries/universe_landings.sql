-- Answers that published runs of the universe read, oldest first; every answer where none has published.
SELECT landing_id, vendor, endpoint, key, fetched_at
FROM ops.landings l
WHERE (vendor, endpoint) IN (
        ('sec_edgar', 'company_tickers'), ('sec_edgar', 'submissions'), ('sec_edgar', 'submissions_zip'),
        ('polygon', 'tickers'), ('polygon', 'ticker_events'), ('polygon', 'ticker_details'),
        ('tiingo', 'supported_tickers'), ('reference', 'sp500'), ('operator', 'fortune500'), ('operator', 'stocks'))
  AND (NOT EXISTS (SELECT FROM ops.published_landings WHERE table_name = 'securities')
       OR EXISTS (SELECT FROM ops.published_landings p
                  WHERE p.landing_id = l.landing_id AND p.table_name IN ('companies', 'securities')))
ORDER BY fetched_at, landing_id;
