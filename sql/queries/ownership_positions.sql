-- What institutions held in :quarters (date[]) of the securities :first to :last.
SELECT accession_no, institution_cik, quarter, known_at, cusip, security_id, put_call, discretion, other_managers, shares,
       principal, market_value
FROM closingbell.institutional_holdings
WHERE security_id BETWEEN :first AND :last AND quarter = ANY(CAST(:quarters AS date[]));
