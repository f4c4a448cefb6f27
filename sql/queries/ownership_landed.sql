-- The newest landing of each of these documents as EDGAR gave it, and whether a run has published it; a filing never
-- changes, so it is asked for once. An operator's file may lack the header. :keys text[] (accession numbers)
SELECT DISTINCT ON (l.key) l.key, l.landing_id, p.landing_id IS NOT NULL AS published
FROM ops.landings AS l
LEFT JOIN ops.published_landings AS p ON p.table_name = 'insider_trades' AND p.landing_id = l.landing_id
WHERE l.vendor = 'sec_edgar' AND l.endpoint = 'ownership' AND l.key = ANY(CAST(:keys AS text[]))
  AND l.request ->> 'method' = 'GET'
ORDER BY l.key, l.landing_id DESC;
