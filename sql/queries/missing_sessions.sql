-- Sessions without a bar, by security that was listed then and is of a scored type. A vendor marks a day without a trade
-- by omission too: ask again once, then it stands. :sessions date[], :security_ids bigint[] or NULL for all
SELECT s.security_id, t.ticker, d.session
FROM unnest(CAST(:sessions AS date[])) AS d (session)
JOIN closingbell.securities s
  ON s.type IN ('CS', 'ADRC', 'OS', 'GDR')
 AND (s.first_session IS NULL OR s.first_session <= d.session)
 AND (s.last_session IS NULL OR s.last_session >= d.session)
 AND (CAST(:security_ids AS bigint[]) IS NULL OR s.security_id = ANY(CAST(:security_ids AS bigint[])))
LEFT JOIN LATERAL (
    SELECT h.ticker FROM closingbell.borne_tickers h
    WHERE h.security_id = s.security_id AND h.valid_from <= d.session AND (h.valid_to IS NULL OR h.valid_to >= d.session)
    ORDER BY h.valid_from DESC LIMIT 1
) t ON true
WHERE NOT EXISTS (
    SELECT FROM closingbell.stock_prices p WHERE p.security_id = s.security_id AND p.session = d.session
)
ORDER BY d.session, s.security_id;
