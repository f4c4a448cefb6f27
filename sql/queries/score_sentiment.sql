-- Moods of the sessions from :oldest (the oldest that a score may still stand on) to :last (dates).
SELECT security_id, session, known_at, sentiment_7d, sentiment_30d
FROM closingbell.sentiment_daily WHERE session BETWEEN :oldest AND :last;
