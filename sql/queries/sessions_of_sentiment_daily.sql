-- Sessions that have a mood, in order.
SELECT DISTINCT session FROM closingbell.sentiment_daily ORDER BY session;
