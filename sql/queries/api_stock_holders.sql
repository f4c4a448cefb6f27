-- The :most (integer) largest reports of shares of :security_id at :quarter (date), as known at :known_at (timestamptz): of each
-- institution the filing known last, shares alone (no options, no bonds).
WITH filings AS (
    SELECT accession_no, institution_cik, known_at, institution_name, sum(shares) AS shares, sum(market_value) AS market_value
    FROM closingbell.institutional_holdings
    WHERE security_id = :security_id AND quarter = :quarter AND known_at <= :known_at AND put_call IS NULL
      AND principal IS NULL
    GROUP BY accession_no, institution_cik, known_at, institution_name
), newest AS (
    SELECT DISTINCT ON (institution_cik) * FROM filings ORDER BY institution_cik, known_at DESC, accession_no DESC
)
SELECT * FROM newest ORDER BY shares DESC NULLS LAST, institution_cik LIMIT CAST(:most AS integer);
