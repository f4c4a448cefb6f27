-- Open-market trades of these issuers (:ciks bigint[]), and of all issuers from day :first on (date).
SELECT accession_no, is_derivative, row_no, form, issuer_cik, security_id, owner_ciks, is_ten_percent_owner, direct,
       security_title, transaction_date, transaction_code, shares, price_per_share, total_value, shares_owned_after, filed_on, known_at,
       superseded_by, superseded_at
FROM closingbell.insider_trades
WHERE NOT is_derivative AND transaction_code IN ('P', 'S')
  AND (issuer_cik = ANY(CAST(:ciks AS bigint[])) OR transaction_date >= CAST(:first AS date))
ORDER BY accession_no, row_no;
