-- Net open-market buying in :security_id as :session (date) knew it: its newest row of the 30 days before.
SELECT * FROM closingbell.insider_activity
WHERE security_id = :security_id AND session <= :session AND session > CAST(:session AS date) - 30
ORDER BY session DESC LIMIT 1;
