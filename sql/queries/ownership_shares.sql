-- Every version of the companies' shares outstanding known by :until (timestamptz), of periods from :from_day (date) on.
SELECT s.security_id, f.period_end, f.known_at, f.shares_outstanding, coalesce(f.shares_filed_on, f.known_on) AS counted_on
FROM closingbell.financials AS f JOIN closingbell.securities AS s USING (cik)
WHERE f.shares_outstanding > 0 AND f.period_type IN ('Q', 'FY') AND f.known_at <= :until AND f.period_end >= :from_day
  AND s.security_id BETWEEN :first AND :last;
