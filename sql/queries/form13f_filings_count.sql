SELECT count(*) AS filings FROM closingbell.institutional_filings;
