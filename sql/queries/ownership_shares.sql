-- Every version of the shares outstanding known by :until (timestamptz), of days from :from_day (date) on: of companies as
-- their statements have them, but not where 13F may count receipts of an unknown ratio, and of single classes, where a
-- company has others, as a vendor counted them on a day.
SELECT s.security_id, f.period_end, f.known_at, f.shares_outstanding, coalesce(f.shares_filed_on, f.known_on) AS counted_on,
       false AS of_class
FROM closingbell.financials AS f JOIN closingbell.securities AS s USING (cik)
WHERE f.shares_outstanding > 0 AND f.period_type IN ('Q', 'FY') AND f.known_at <= :until AND f.period_end >= :from_day
  AND s.security_id BETWEEN :first AND :last
  AND s.type <> 'ADRC' AND NOT (s.type_inferred AND EXISTS (
        SELECT FROM closingbell.filings AS r WHERE r.cik = s.cik AND r.known_at <= :until AND r.form ~ '^(20-F|F-6)'))
UNION ALL
SELECT s.security_id, c.valid_from, CAST(c.valid_from AS timestamp) AT TIME ZONE 'America/New_York', c.shares, c.valid_from, true
FROM closingbell.class_shares AS c JOIN closingbell.securities AS s USING (security_id)
WHERE c.shares > 0 AND c.valid_from >= :from_day
  AND CAST(c.valid_from AS timestamp) AT TIME ZONE 'America/New_York' <= :until
  AND EXISTS (SELECT FROM closingbell.securities AS o WHERE o.cik = s.cik AND o.security_id <> s.security_id)
  AND s.security_id BETWEEN :first AND :last;
