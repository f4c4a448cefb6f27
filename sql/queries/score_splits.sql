-- Splits in effect by :last (date). They are public when they trade, whenever a vendor told us of them.
-- Spin-offs are none: they change no number of shares.
SELECT security_id, ex_date, numerator, denominator
FROM closingbell.corporate_actions WHERE kind = 'split' AND ex_date <= :last;
