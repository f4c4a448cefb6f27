-- Whole bars of :session (date).
SELECT security_id, session, open, high, low, close, volume, vwap, trades, source, final, adjusted_as_of
FROM closingbell.stock_prices WHERE session = :session;
