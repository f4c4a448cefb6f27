SELECT ticker, valid_from, valid_to, security_id, assumed FROM closingbell.ticker_history ORDER BY ticker, valid_from;
