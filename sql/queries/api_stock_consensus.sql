-- What analysts thought of :security_id as the close of :session (date) knew it: the newest row of the ten days before.
SELECT * FROM closingbell.analyst_consensus
WHERE security_id = :security_id AND session <= :session AND session > CAST(:session AS date) - 10
ORDER BY session DESC LIMIT 1;
