-- Whole rows of these issuers that may change: of those with an amendment all, of others the rows without a security.
-- :ciks bigint[]
SELECT * FROM closingbell.insider_trades
WHERE issuer_cik = ANY(CAST(:ciks AS bigint[]))
  AND (security_id IS NULL OR issuer_cik IN (SELECT a.issuer_cik FROM closingbell.insider_trades AS a
                                             WHERE a.issuer_cik = ANY(CAST(:ciks AS bigint[])) AND a.form LIKE '%/A'))
ORDER BY accession_no, is_derivative, row_no;
