-- Net open-market buying in :security_id as :session (date) knew it: its newest row of the :days (integer) before. `whole`:
-- filings are loaded for all of its 90 days.
SELECT *, COALESCE(filings_from <= session - 89, false) AS whole FROM closingbell.insider_activity
WHERE security_id = :security_id AND session BETWEEN CAST(:session AS date) - CAST(:days AS integer) AND :session
ORDER BY session DESC LIMIT 1;
