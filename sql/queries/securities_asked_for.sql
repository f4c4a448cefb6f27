-- Securities by ticker on :session (date), by sector as known then, or by S&P 500 membership; at most :limit companies.
SELECT t.ticker, t.security_id
FROM closingbell.borne_tickers t
JOIN closingbell.securities s USING (security_id)
LEFT JOIN LATERAL (
    SELECT k.sector FROM closingbell.companies k
    WHERE k.cik = s.cik AND k.sector IS NOT NULL
    ORDER BY k.valid_from > CAST(:session AS date), abs(k.valid_from - CAST(:session AS date)) LIMIT 1
) c ON true
WHERE t.valid_from <= :session AND COALESCE(t.valid_to, :session) >= :session
  AND s.type IN ('CS', 'ADRC', 'OS', 'GDR')
  AND (CAST(:tickers AS text[]) IS NULL OR t.ticker = ANY(CAST(:tickers AS text[])))
  AND (CAST(:sector AS text) IS NULL OR c.sector = :sector)
  AND (NOT :sp500 OR EXISTS (
        SELECT FROM closingbell.index_members m
        WHERE m.index_name = 'sp500' AND m.security_id = t.security_id AND m.valid_from <= :session
          AND COALESCE(m.valid_to, :session) >= :session))
ORDER BY t.ticker LIMIT :limit;
