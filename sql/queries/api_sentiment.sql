-- The newest sentiment of :security_id, not older than scores take (:days before the newest board).
SELECT session, sentiment_7d, sentiment_30d, articles_7d, articles_30d, last_published_at, by_source, known_at
FROM closingbell.sentiment_daily WHERE security_id = :security_id
  AND session >= COALESCE((SELECT session FROM ops.newest_scored) - CAST(:days AS integer), '-infinity')
ORDER BY session DESC LIMIT 1;
