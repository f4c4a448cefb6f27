-- Issuers with rows published since :since (timestamptz; null: all), or whose share is known now and was not when they
-- were loaded (new is false: or never, as of preferred stock); the New York day on which the first of these rows became
-- known.
SELECT issuer_cik, CAST(min(known_at) AT TIME ZONE 'America/New_York' AS date) AS first, bool_or(new) AS new
FROM (SELECT *, landing_id IN (SELECT landing_id FROM ops.published_landings WHERE table_name = 'insider_trades'
                               AND published_at >= coalesce(CAST(:since AS timestamptz), '-infinity')) AS new
      FROM closingbell.insider_trades) AS t
WHERE new
   OR (security_id IS NULL AND EXISTS (SELECT FROM closingbell.securities AS s
                                       WHERE s.cik = t.issuer_cik AND s.type IN ('CS', 'ADRC', 'OS', 'GDR')))
GROUP BY issuer_cik
ORDER BY issuer_cik;
