-- Those of :sessions (date[]), in order, in which a share of a scored type that was listed has no bar. A vendor marks a
-- day without a trade by omission too: ask again once, then it stands.
SELECT d.session
FROM unnest(CAST(:sessions AS date[])) AS d (session)
WHERE EXISTS (
    SELECT FROM closingbell.securities s
    WHERE s.type IN ('CS', 'ADRC', 'OS', 'GDR')
      AND (s.first_session IS NULL OR s.first_session <= d.session)
      AND (s.last_session IS NULL OR s.last_session >= d.session)
      AND NOT EXISTS (
          SELECT FROM closingbell.stock_prices p WHERE p.security_id = s.security_id AND p.session = d.session
      )
)
ORDER BY d.session;
