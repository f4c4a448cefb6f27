-- How the news of :security_id read at the close of :session (date): the newest row of the ten days before.
SELECT session, sentiment_7d, sentiment_30d, articles_7d, articles_30d, by_source, known_at
FROM closingbell.sentiment_daily
WHERE security_id = :security_id AND session <= :session AND session > CAST(:session AS date) - 10
ORDER BY session DESC LIMIT 1;
