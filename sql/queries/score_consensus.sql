-- Consensus of the sessions from :oldest (the oldest that a score may still stand on) to :last (dates).
SELECT security_id, session, last_rated_at AS known_at, rating_mean, target_mean, firms, ratings_from
FROM closingbell.analyst_consensus WHERE session BETWEEN :oldest AND :last;
