-- Tickers and shares that are scored and listed on :session (date), narrowed to :tickers (text[] or null).
SELECT t.ticker, t.security_id, s.first_session
FROM closingbell.borne_tickers t JOIN closingbell.securities s USING (security_id)
WHERE t.valid_from <= :session AND COALESCE(t.valid_to, :session) >= :session
  AND s.type IN ('CS', 'ADRC', 'OS', 'GDR')
  AND COALESCE(s.first_session, :session) <= :session AND COALESCE(s.last_session, :session) >= :session
  AND (CAST(:tickers AS text[]) IS NULL OR t.ticker = ANY(CAST(:tickers AS text[])))
ORDER BY t.ticker;
