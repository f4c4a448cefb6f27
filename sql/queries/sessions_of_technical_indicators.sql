-- Sessions that have rows, in order.
SELECT DISTINCT session FROM closingbell.technical_indicators ORDER BY session;
