-- How far back what is not loaded by security reaches at the close of :session (date), :close (timestamptz): days of insiders'
-- filings (90 at most, the longest window), quarters of Forms 13F, days of news.
SELECT (SELECT CAST(:session AS date) - max(filings_from) + 1 FROM closingbell.insider_activity
        WHERE session = (SELECT max(session) FROM closingbell.insider_activity WHERE session <= :session)) AS insider_trades,
       (SELECT count(DISTINCT quarter) FROM closingbell.institutional_ownership WHERE session <= :session)
           AS institutional_ownership,
       (SELECT CAST(:session AS date) - CAST(min(published_at) AT TIME ZONE 'America/New_York' AS date) + 1
        FROM closingbell.news_articles WHERE published_at <= :close) AS news_sentiment;
