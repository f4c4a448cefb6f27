-- Stored closes of :securities (bigint[]) from :first to :last (dates).
SELECT security_id, session, close, adjusted_as_of
FROM closingbell.stock_prices
WHERE security_id = ANY(CAST(:securities AS bigint[])) AND session BETWEEN :first AND :last;
