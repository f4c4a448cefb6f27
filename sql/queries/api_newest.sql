-- The newest scored session.
SELECT max(session) AS session FROM closingbell.ic_scores;
