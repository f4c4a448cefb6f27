-- The newest sentiment of :security_id.
SELECT session, sentiment_7d, sentiment_30d, articles_7d, articles_30d, last_published_at, by_source, known_at
FROM closingbell.sentiment_daily WHERE security_id = :security_id ORDER BY session DESC LIMIT 1;
