-- How many rows each table has that no score reads yet: one column a table.
SELECT
    (SELECT count(*) FROM closingbell.insider_trades) AS insider_trades,
    (SELECT count(*) FROM closingbell.insider_activity) AS insider_activity,
    (SELECT count(*) FROM closingbell.institutional_holdings) AS institutional_holdings,
    (SELECT count(*) FROM closingbell.institutional_ownership) AS institutional_ownership,
    (SELECT count(*) FROM closingbell.analyst_ratings) AS analyst_ratings,
    (SELECT count(*) FROM closingbell.analyst_consensus) AS analyst_consensus,
    (SELECT count(*) FROM closingbell.news_articles) AS news_articles,
    (SELECT count(*) FROM closingbell.news_sentiment) AS news_sentiment,
    (SELECT count(*) FROM closingbell.sentiment_daily) AS sentiment_daily;
