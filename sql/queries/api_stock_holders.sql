-- The :most (integer) largest holders of :security_id at :quarter (date), as known at :known_at (timestamptz): of each
-- institution the last filing that replaces and the NEW HOLDINGS after it, shares alone (no options, no bonds), as
-- institutions/compute.py counts them. What two institutions both tell stands with each.
WITH ordered AS (
    SELECT accession_no, institution_cik, institution_name, amendment_type IS NOT DISTINCT FROM 'NEW HOLDINGS' AS adds,
           row_number() OVER (
               PARTITION BY institution_cik ORDER BY known_at, right(form, 2) = '/A', amendment_no NULLS FIRST, accession_no
           ) AS place
    FROM closingbell.institutional_filings
    WHERE quarter = :quarter AND known_at <= :known_at
), placed AS (
    SELECT *, max(place) FILTER (WHERE NOT adds) OVER (PARTITION BY institution_cik) AS base FROM ordered
), lines AS (
    SELECT p.institution_cik, p.institution_name, p.place, accession_no, h.known_at, h.cusip, h.discretion, h.other_managers,
           h.shares, h.market_value, row_number() OVER (
               PARTITION BY accession_no, h.cusip, h.discretion, h.other_managers, h.shares ORDER BY h.row_no
           ) AS copy
    FROM closingbell.institutional_holdings AS h
    JOIN placed AS p USING (accession_no)
    WHERE h.security_id = :security_id AND h.quarter = :quarter AND h.put_call IS NULL AND h.shares > 0
      AND p.place >= coalesce(p.base, 0)
), told AS (  -- what NEW HOLDINGS say again counts once
    SELECT DISTINCT ON (institution_cik, cusip, discretion, other_managers, shares, copy) * FROM lines
    ORDER BY institution_cik, cusip, discretion, other_managers, shares, copy, place
)
SELECT institution_cik, (array_agg(institution_name ORDER BY place DESC))[1] AS institution_name, sum(shares) AS shares,
       sum(market_value) AS market_value, max(known_at) AS known_at, array_agg(DISTINCT accession_no) AS accession_nos
FROM told GROUP BY institution_cik
ORDER BY shares DESC, institution_cik LIMIT CAST(:most AS integer);
