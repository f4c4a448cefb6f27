-- Splits with ex_date up to :last (date).
SELECT security_id, ex_date, numerator, denominator
FROM closingbell.corporate_actions WHERE kind = 'split' AND ex_date <= :last;
