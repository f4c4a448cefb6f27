-- Who owned :security_id at the ends of the last :quarters (integer) quarters, as the close of :session (date) knew it.
SELECT * FROM (
    SELECT DISTINCT ON (quarter) quarter, session, known_at, holders, shares, market_value, share_owned, filers, change,
           new_positions, closed_positions, increased_positions, decreased_positions
    FROM closingbell.institutional_ownership
    WHERE security_id = :security_id AND session <= :session
    ORDER BY quarter DESC, session DESC
) AS newest ORDER BY quarter DESC LIMIT CAST(:quarters AS integer);
