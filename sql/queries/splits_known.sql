-- Splits known at a session's close, those announced for later included. :close timestamptz
SELECT security_id, ex_date, numerator, denominator, known_at
FROM closingbell.corporate_actions
WHERE kind = 'split' AND known_at <= CAST(:close AS timestamptz)
ORDER BY security_id, ex_date;
