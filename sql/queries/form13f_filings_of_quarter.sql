-- The 13F filings of :quarter (date).
SELECT * FROM closingbell.institutional_filings WHERE quarter = CAST(:quarter AS date) ORDER BY accession_no;
