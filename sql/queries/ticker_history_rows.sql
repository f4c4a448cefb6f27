SELECT ticker, valid_from, valid_to, security_id, assumed, landing_id, fetched_at
FROM closingbell.ticker_history ORDER BY ticker, valid_from;
