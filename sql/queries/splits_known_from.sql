-- The first day from which the splits of each security are known; NULL: of no day. Polygon tells those of all from the first
-- day that published runs asked it for (they ask for every day since), Tiingo and Yahoo those of one with its bars. Where
-- Polygon's bars are adjusted though they were asked for unadjusted, as recorded ones are, the splits are in the prices alone.
WITH asked AS (
    SELECT min(CAST(l.request -> 'params' ->> 'execution_date.gte' AS date)) AS day
    FROM ops.landings AS l
    JOIN ops.published_landings AS p ON p.landing_id = l.landing_id AND p.table_name = 'corporate_actions'
    WHERE l.vendor = 'polygon' AND l.endpoint = 'splits'
)
SELECT s.security_id,
       CASE WHEN b.source = 'polygon' AND b.adjusted_as_of IS NOT NULL THEN NULL
            WHEN b.source IN ('tiingo', 'yahoo') THEN least(b.session, asked.day)
            ELSE asked.day END AS known_from
FROM closingbell.securities AS s
CROSS JOIN asked
LEFT JOIN LATERAL (
    SELECT source, adjusted_as_of, session FROM closingbell.stock_prices AS p
    WHERE p.security_id = s.security_id ORDER BY session LIMIT 1
) AS b ON true;
