-- Shares that analysts may rate, with each ticker that they bore between :since and :today (dates), S&P 500 members
-- first, then those asked for longest ago. asked_at, asked_from: of published answers; null where there is none.
WITH asked AS (
    SELECT a.ticker, max(l.answered_at) AS asked_at, min(l.request -> 'params' ->> 'parameters[date_from]') AS asked_from
    FROM ops.landings AS l
    JOIN ops.published_landings AS p ON p.landing_id = l.landing_id AND p.table_name = 'analyst_ratings'
    CROSS JOIN LATERAL string_to_array(l.request -> 'params' ->> 'parameters[tickers]', ',') AS listed(tickers)
    CROSS JOIN LATERAL unnest(listed.tickers) AS a(ticker)
    WHERE l.vendor = 'benzinga' AND l.endpoint = 'calendar_ratings' AND l.request -> 'params' ->> 'page' = '0'
    GROUP BY a.ticker
)
SELECT t.security_id, t.ticker, a.asked_at, CAST(a.asked_from AS date) AS asked_from,
       EXISTS (SELECT FROM closingbell.index_members AS m
               WHERE m.index_name = 'sp500' AND m.security_id = t.security_id AND m.valid_from <= :today
                 AND COALESCE(m.valid_to, :today) >= :today) AS sp500
FROM closingbell.borne_tickers AS t
JOIN closingbell.securities AS s USING (security_id)
LEFT JOIN asked AS a ON a.ticker = t.ticker
WHERE s.type IN ('CS', 'ADRC', 'OS', 'GDR')
  AND t.valid_from <= :today AND COALESCE(t.valid_to, :today) >= :since
ORDER BY sp500 DESC, a.asked_at NULLS FIRST, t.ticker;
