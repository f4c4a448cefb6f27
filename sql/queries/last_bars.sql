-- Bars of the sessions :first to :last (dates).
SELECT security_id, session, open, high, low, close, volume, adjusted_as_of
FROM closingbell.stock_prices
WHERE session BETWEEN CAST(:first AS date) AND CAST(:last AS date);
