-- Securities that institutions held in :quarters (date[]).
SELECT DISTINCT security_id FROM closingbell.institutional_holdings
WHERE security_id IS NOT NULL AND quarter = ANY(CAST(:quarters AS date[])) ORDER BY security_id;
