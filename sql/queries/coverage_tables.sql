-- From which day and to which day each table tells of each security at the close of :session (date), :close (timestamptz).
SELECT 'stock_prices' AS table_name, security_id, min(session) AS oldest, max(session) AS newest
FROM closingbell.stock_prices WHERE session <= :session GROUP BY security_id
UNION ALL
SELECT 'technical_indicators', security_id, min(session), max(session)
FROM closingbell.technical_indicators WHERE session <= :session GROUP BY security_id
UNION ALL
SELECT 'valuation_ratios', security_id, min(session), max(session)
FROM closingbell.valuation_ratios WHERE session <= :session GROUP BY security_id
UNION ALL
SELECT 'financials', s.security_id, min(f.period_end), max(f.period_end)
FROM closingbell.financials AS f JOIN closingbell.securities AS s USING (cik)
WHERE f.known_at <= :close GROUP BY s.security_id
UNION ALL
SELECT 'insider_trades', security_id, min(filed_on), max(filed_on)
FROM closingbell.insider_trades WHERE known_at <= :close GROUP BY security_id
UNION ALL
SELECT 'institutional_ownership', security_id, min(quarter), max(quarter)
FROM closingbell.institutional_ownership WHERE session <= :session GROUP BY security_id
UNION ALL
SELECT 'analyst_ratings', security_id, CAST(min(rated_at) AT TIME ZONE 'America/New_York' AS date),
       CAST(max(rated_at) AT TIME ZONE 'America/New_York' AS date)
FROM closingbell.analyst_ratings
WHERE known_at <= :close AND rated_at > CAST(:close AS timestamptz) - interval '1 year'  -- as the consensus counts them
GROUP BY security_id
UNION ALL
SELECT 'news_sentiment', security_id, CAST(min(known_at) AT TIME ZONE 'America/New_York' AS date),
       CAST(max(known_at) AT TIME ZONE 'America/New_York' AS date)
FROM closingbell.news_sentiment WHERE known_at <= :close GROUP BY security_id;
