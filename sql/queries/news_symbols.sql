-- Tickers listed on :session (date) in the order in which the vendor of targeted news is to be asked for them: members
-- of the S&P 500 first, then never asked, then longest ago; and when, by the vendor's clock, each was asked last.
-- Narrowed to :tickers (text[] or null); at most :most.
SELECT t.ticker, l.asked_at
FROM closingbell.borne_tickers t
JOIN closingbell.securities s USING (security_id)
LEFT JOIN (SELECT split_part(key, '@', 1) AS ticker, max(answered_at) AS asked_at
           FROM ops.landings WHERE vendor = 'marketaux' AND endpoint = 'news' GROUP BY 1) AS l USING (ticker)
LEFT JOIN (SELECT DISTINCT security_id FROM closingbell.index_members
           WHERE index_name = 'sp500' AND valid_to IS NULL) AS i USING (security_id)
WHERE t.valid_from <= :session AND coalesce(t.valid_to, :session) >= :session
  AND s.type IN ('CS', 'ADRC', 'OS', 'GDR')
  AND (CAST(:tickers AS text[]) IS NULL OR t.ticker = ANY(CAST(:tickers AS text[])))
ORDER BY (i.security_id IS NULL), l.asked_at NULLS FIRST, t.ticker
LIMIT :most;
