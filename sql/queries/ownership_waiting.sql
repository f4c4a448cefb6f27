-- Ownership filings (cik/accession number) that failed to come, and those that came since, of which no run has published
-- the document yet: nothing else may list them any more.
SELECT f.key
FROM ops.fetch_failures AS f
WHERE f.vendor = 'sec_edgar' AND f.endpoint = 'ownership'
  AND (f.resolved_at IS NULL OR EXISTS (
      SELECT FROM ops.landings AS l
      LEFT JOIN ops.published_landings AS p ON p.table_name = 'insider_trades' AND p.landing_id = l.landing_id
      WHERE l.vendor = 'sec_edgar' AND l.endpoint = 'ownership' AND l.key = split_part(f.key, '/', 2)
        AND l.request ->> 'method' = 'GET'
      HAVING count(p.landing_id) = 0 AND count(*) > 0
  ))
ORDER BY f.key;
