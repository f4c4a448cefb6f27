-- Shares of companies that file, with every ticker that they ever bore.
SELECT DISTINCT s.security_id, s.cik, s.share_class, t.ticker
FROM closingbell.securities AS s LEFT JOIN closingbell.borne_tickers AS t USING (security_id)
WHERE s.cik IS NOT NULL AND s.type IN ('CS', 'ADRC', 'OS', 'GDR')
ORDER BY s.security_id, t.ticker;
