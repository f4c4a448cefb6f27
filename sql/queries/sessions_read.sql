-- Those of the sessions :keys (ISO dates) of which a published run has read an answer of Polygon. :keys text[]
SELECT DISTINCT l.key
FROM ops.landings AS l
JOIN ops.published_landings AS p ON p.table_name = 'stock_prices' AND p.landing_id = l.landing_id
WHERE l.vendor = 'polygon' AND l.endpoint = 'grouped_daily' AND l.key = ANY(CAST(:keys AS text[]));
