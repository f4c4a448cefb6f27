-- Companies at which EDGAR failed, and those that came since in a run that ended before it published them: what resolves
-- a failure is that an answer could be read. The key of a page is the name of a file.
SELECT DISTINCT c.cik
FROM ops.fetch_failures AS f
CROSS JOIN LATERAL (SELECT CAST(left(ltrim(f.key, 'CIK'), 10) AS bigint) AS cik) AS c
WHERE f.vendor = 'sec_edgar' AND f.endpoint IN ('companyfacts', 'submissions', 'submissions_page')
  AND (f.resolved_at IS NULL OR NOT EXISTS (
      SELECT FROM ops.stages AS s
      WHERE s.table_name = 'financials' AND s.status = 'published' AND s.published_at >= f.resolved_at
        AND s.expected -> 'ciks' @> to_jsonb(c.cik)
  ));
