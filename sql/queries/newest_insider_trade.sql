SELECT max(known_at) AS newest FROM closingbell.insider_trades
