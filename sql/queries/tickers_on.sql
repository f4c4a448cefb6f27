-- Tickers that a security bears on a day. :day date
SELECT ticker, valid_from, valid_to, security_id, assumed
FROM closingbell.ticker_history
WHERE valid_from <= CAST(:day AS date) AND (valid_to IS NULL OR valid_to >= CAST(:day AS date))
ORDER BY ticker;
