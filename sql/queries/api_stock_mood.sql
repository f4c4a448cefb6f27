-- How the news of :security_id read at the close of :session (date): the newest row of the :days (integer) before.
SELECT session, sentiment_7d, sentiment_30d, articles_7d, articles_30d, by_source, known_at
FROM closingbell.sentiment_daily
WHERE security_id = :security_id AND session BETWEEN CAST(:session AS date) - CAST(:days AS integer) AND :session
ORDER BY session DESC LIMIT 1;
