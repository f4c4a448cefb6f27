-- When each quarter's known reports changed.
SELECT DISTINCT quarter, known_at FROM closingbell.institutional_filings ORDER BY quarter, known_at;
