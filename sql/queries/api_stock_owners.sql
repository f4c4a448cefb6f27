-- Who owned :security_id at the ends of the last :quarters (integer) quarters, as the close of :session (date) knew it, and how
-- many institutions had reported that quarter and the one before by :known_at (timestamptz), its moment.
WITH newest AS (
    SELECT DISTINCT ON (quarter) quarter, session, known_at, holders, shares, market_value, share_owned, change,
           new_positions, closed_positions, increased_positions, decreased_positions
    FROM closingbell.institutional_ownership
    WHERE security_id = :security_id AND session <= :session
    ORDER BY quarter DESC, session DESC LIMIT CAST(:quarters AS integer)
), filed AS (
    SELECT quarter, count(DISTINCT institution_cik) AS filers FROM closingbell.institutional_filings
    WHERE quarter >= (SELECT min(quarter) - 93 FROM newest) AND known_at <= :known_at AND NOT starts_with(form, '13F-NT')
    GROUP BY quarter
)
SELECT n.*, COALESCE(f.filers, 0) AS filers, COALESCE(b.filers, 0) AS filers_before
FROM newest AS n
LEFT JOIN filed AS f ON f.quarter = n.quarter
LEFT JOIN filed AS b ON b.quarter = CAST(date_trunc('quarter', CAST(n.quarter AS timestamp)) AS date) - 1
ORDER BY n.quarter DESC;
