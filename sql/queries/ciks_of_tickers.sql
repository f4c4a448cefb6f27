-- Companies of tickers, whichever day they bore them. :tickers text[]
SELECT DISTINCT t.ticker, s.cik
FROM closingbell.borne_tickers t JOIN closingbell.securities s USING (security_id)
WHERE t.ticker = ANY(CAST(:tickers AS text[])) AND s.cik IS NOT NULL
ORDER BY s.cik, t.ticker;
