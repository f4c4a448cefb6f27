-- The board of :session (date), best first, with the name and ticker each security had then.
SELECT s.security_id, t.ticker, COALESCE(c.name, y.name) AS name, s.sector, s.sector_assumed, s.overall_score,
       s.rating, s.value, s.growth, s.profitability, s.financial_health, s.momentum, s.analyst_consensus,
       s.insider_activity, s.institutional, s.news_sentiment, s.technical, s.data_completeness, s.confidence,
       s.sector_rank, s.sector_size, s.sector_percentile
FROM closingbell.ic_scores s
LEFT JOIN closingbell.securities y USING (security_id)
LEFT JOIN LATERAL (
    SELECT h.ticker FROM closingbell.borne_tickers h
    WHERE h.security_id = s.security_id
    ORDER BY s.session BETWEEN h.valid_from AND COALESCE(h.valid_to, s.session) DESC,
             h.valid_from > s.session, abs(h.valid_from - s.session), h.ticker
    LIMIT 1
) t ON true
LEFT JOIN LATERAL (
    SELECT k.name FROM closingbell.companies k
    WHERE k.cik = y.cik
    ORDER BY k.valid_from > s.session, abs(k.valid_from - s.session)
    LIMIT 1
) c ON true
WHERE s.session = :session
ORDER BY s.overall_score DESC, t.ticker, s.security_id;
