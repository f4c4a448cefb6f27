-- The board of :session (date), whole, best first, with the ticker and name that each security had then, and its score on the
-- session :before (date; NULL: none).
SELECT row_number() OVER (ORDER BY s.overall_score DESC, s.security_id) AS place,
       s.*, t.ticker, COALESCE(c.name, y.name) AS company_name, b.overall_score AS score_before
FROM closingbell.ic_scores AS s
LEFT JOIN closingbell.ic_scores AS b ON b.security_id = s.security_id AND b.session = CAST(:before AS date)
LEFT JOIN closingbell.securities AS y ON y.security_id = s.security_id
LEFT JOIN LATERAL (
    SELECT h.ticker FROM closingbell.borne_tickers AS h
    WHERE h.security_id = s.security_id
    ORDER BY s.session BETWEEN h.valid_from AND COALESCE(h.valid_to, s.session) DESC,
             h.valid_from > s.session, abs(h.valid_from - s.session), h.ticker
    LIMIT 1
) AS t ON true
LEFT JOIN LATERAL (
    SELECT k.name FROM closingbell.companies AS k
    WHERE k.cik = y.cik
    ORDER BY k.valid_from > s.session, abs(k.valid_from - s.session)
    LIMIT 1
) AS c ON true
WHERE s.session = :session
ORDER BY place;
