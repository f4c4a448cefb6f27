-- The score on :session (date) of the security that bore :ticker then, else when it was next to it, and the score before
-- that one: newest first, with what both were made of.
WITH chosen AS (
    SELECT security_id FROM closingbell.borne_tickers
    WHERE ticker = :ticker
    ORDER BY CAST(:session AS date) BETWEEN valid_from AND COALESCE(valid_to, :session) DESC,
             valid_from > :session, abs(valid_from - CAST(:session AS date))
    LIMIT 1
)
SELECT s.security_id, y.name, s.session, s.overall_score, s.rating, i.inputs
FROM chosen
JOIN closingbell.ic_scores AS s USING (security_id)
JOIN closingbell.score_inputs AS i USING (security_id, session)
LEFT JOIN closingbell.securities AS y USING (security_id)
WHERE s.session <= :session
ORDER BY s.session DESC LIMIT 2;
