-- Scores of :security_id in the :days (integer) that end with its newest score up to :session (date), in order.
SELECT s.*
FROM closingbell.ic_scores AS s
WHERE s.security_id = :security_id AND s.session <= :session AND s.session > (
    SELECT max(n.session) FROM closingbell.ic_scores AS n
    WHERE n.security_id = :security_id AND n.session <= :session
) - CAST(:days AS integer)
ORDER BY s.session;
