-- Closes of :session (date).
SELECT security_id, session, close, adjusted_as_of FROM closingbell.stock_prices WHERE session = :session;
