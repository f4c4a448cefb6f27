-- New York days of publication of the scores that came or changed since the last moods were published.
SELECT DISTINCT CAST(known_at AT TIME ZONE 'America/New_York' AS date) AS day
FROM closingbell.news_sentiment
WHERE fetched_at >= (SELECT coalesce(max(opened_at), '-infinity') FROM ops.stages
                     WHERE table_name = 'sentiment_daily' AND status = 'published')
ORDER BY 1;
