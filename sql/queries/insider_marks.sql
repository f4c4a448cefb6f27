-- What superseded rows of these filings. :accessions text[]
SELECT accession_no, is_derivative, row_no, superseded_by, superseded_at
FROM closingbell.insider_trades
WHERE accession_no = ANY(CAST(:accessions AS text[])) AND superseded_by IS NOT NULL;
