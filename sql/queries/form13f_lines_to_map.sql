-- Lines without a security of the filings :accession_nos (text[]), with their lineage.
SELECT * FROM closingbell.institutional_holdings
WHERE accession_no = ANY(CAST(:accession_nos AS text[])) AND security_id IS NULL
ORDER BY accession_no, row_no;
