-- What analysts thought of :security_id as the close of :session (date) knew it: the newest row of the :days (integer) before.
SELECT * FROM closingbell.analyst_consensus
WHERE security_id = :security_id AND session BETWEEN CAST(:session AS date) - CAST(:days AS integer) AND :session
ORDER BY session DESC LIMIT 1;
