-- The newest :most (integer) trades of insiders in :security_id that were known at :known_at (timestamptz) and stood then.
SELECT transaction_date, insider_name, insider_title, is_director, is_officer, is_ten_percent_owner, transaction_code,
       transaction_type, acquired, is_derivative, shares, price_per_share, total_value, shares_owned_after, is_10b5_1, form,
       accession_no, issuer_cik, known_at
FROM closingbell.insider_trades
WHERE security_id = :security_id AND known_at <= :known_at
  AND (superseded_at IS NULL OR superseded_at > :known_at) AND NOT is_derivative
ORDER BY transaction_date DESC, accession_no DESC, row_no LIMIT CAST(:most AS integer);
