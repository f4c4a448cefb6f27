-- Common shares listed and traded on the sessions :first to :last (dates), with the sector as known on each.
-- Before a company's first known sector the earliest stands, marked assumed.
SELECT p.security_id, p.session, s.cik, c.sector, COALESCE(c.valid_from > p.session, false) AS sector_assumed
FROM closingbell.stock_prices p
JOIN closingbell.securities s USING (security_id)
LEFT JOIN LATERAL (
    SELECT k.sector, k.valid_from
    FROM closingbell.companies k
    WHERE k.cik = s.cik AND k.sector IS NOT NULL
    ORDER BY k.valid_from > p.session, abs(k.valid_from - p.session)
    LIMIT 1
) c ON true
WHERE p.session BETWEEN :first AND :last
  AND s.type IN ('CS', 'ADRC', 'OS', 'GDR')
  AND COALESCE(s.first_session, p.session) <= p.session
  AND COALESCE(s.last_session, p.session) >= p.session;
