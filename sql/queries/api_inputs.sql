-- The score of :security_id on :session (date) and the one before it, newest first, with what they were made of.
SELECT s.session, s.overall_score, i.inputs
FROM closingbell.ic_scores AS s JOIN closingbell.score_inputs AS i USING (security_id, session)
WHERE s.security_id = :security_id AND s.session <= :session
ORDER BY s.session DESC LIMIT 2;
