-- Sums that are there of these securities. :securities bigint[], :first date
SELECT * FROM closingbell.insider_activity
WHERE security_id = ANY(CAST(:securities AS bigint[])) AND session >= :first
ORDER BY security_id, session;
