-- Closes of a session. :session date
SELECT security_id, session, close, adjusted_as_of, final
FROM closingbell.stock_prices WHERE session = CAST(:session AS date)
ORDER BY security_id;
