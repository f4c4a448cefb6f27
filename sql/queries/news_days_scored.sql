-- New York days of publication of the scores that were staged since :since (timestamptz; null: all).
SELECT DISTINCT CAST(known_at AT TIME ZONE 'America/New_York' AS date) AS day
FROM closingbell.news_sentiment
WHERE fetched_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
ORDER BY 1;
