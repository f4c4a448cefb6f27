-- Common shares listed and traded on the sessions :first to :last (dates), with the sector as known on each.
-- Before a company's first known sector the earliest stands, marked assumed. The close is the traded one, where it is known.
-- Form 4 is filed by insiders of US companies. Foreign private issuers are exempt (rule 3a12-3), so that nothing can be said
-- where they filed none: their shares are receipts and ordinary shares, or common stock of a company whose newest yearly
-- report of the days before is a foreign one's; 6-K, before it has filed one.
SELECT p.security_id, p.session, s.cik, c.sector, COALESCE(c.valid_from > p.session, false) AS sector_assumed,
       CASE WHEN p.adjusted_as_of IS NULL OR p.adjusted_as_of = p.session THEN p.close END AS close,
       s.type = 'CS' AND s.cik IS NOT NULL AND COALESCE(r.form !~ '^(20-F|40-F|6-K)', true) AS files_form_4
FROM closingbell.stock_prices p
JOIN closingbell.securities s USING (security_id)
LEFT JOIN LATERAL (
    SELECT k.sector, k.valid_from
    FROM closingbell.companies k
    WHERE k.cik = s.cik AND k.sector IS NOT NULL
    ORDER BY k.valid_from > p.session, abs(k.valid_from - p.session)
    LIMIT 1
) c ON true
LEFT JOIN LATERAL (
    SELECT f.form FROM closingbell.filings f
    WHERE s.type = 'CS' AND f.cik = s.cik AND f.form ~ '^(10-K|20-F|40-F|10-Q|6-K)'
      AND f.known_at < CAST(p.session AS timestamp) AT TIME ZONE 'America/New_York'
    ORDER BY f.form ~ '^(10-Q|6-K)', f.known_at DESC
    LIMIT 1
) r ON true
WHERE p.session BETWEEN :first AND :last
  AND s.type IN ('CS', 'ADRC', 'OS', 'GDR')
  AND COALESCE(s.first_session, p.session) <= p.session
  AND COALESCE(s.last_session, p.session) >= p.session;
