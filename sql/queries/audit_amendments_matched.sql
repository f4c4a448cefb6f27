-- Amendments among the rows that this stage marks for (ops.stages.expected: since) which supersede no line, go on from no
-- holding that another filing reports and lead to none: what they amend is not here, or is told apart by too many fields.
SELECT a.accession_no, a.form, a.amends_filed_on, min(a.issuer_name) AS issuer_name, count(*) AS lines
FROM closingbell.insider_trades AS a
JOIN ops.stages AS s ON s.stage_id = '{stage_id}' AND s.part = 'amendments'
WHERE a.form LIKE '%/A'
  AND a.landing_id IN (SELECT landing_id FROM ops.published_landings WHERE table_name = 'insider_trades'
                       AND published_at >= coalesce(CAST(s.expected ->> 'since' AS timestamptz), '-infinity'))
  AND NOT EXISTS (SELECT FROM closingbell.insider_trades AS o WHERE o.superseded_by = a.accession_no)
  AND NOT EXISTS (SELECT FROM {batch} AS o WHERE o.superseded_by = a.accession_no)
GROUP BY a.accession_no, a.form, a.amends_filed_on
HAVING NOT bool_or(EXISTS (
    SELECT FROM closingbell.insider_trades AS o
    WHERE o.issuer_cik = a.issuer_cik AND o.accession_no <> a.accession_no AND o.known_at <= a.known_at
      AND o.is_derivative = a.is_derivative AND o.direct = a.direct AND o.owner_ciks && a.owner_ciks AND a.shares > 0
      AND (abs(o.shares_owned_after + CASE WHEN a.acquired THEN a.shares ELSE - a.shares END - a.shares_owned_after) < 0.01
           OR abs(a.shares_owned_after + CASE WHEN o.acquired THEN o.shares ELSE - o.shares END - o.shares_owned_after) < 0.01)))
ORDER BY 1
