-- Ownership of quarters that end on :oldest or later that the sessions :first to :last (dates) can see: the row of each
-- that stands on :first, and every later one.
(SELECT DISTINCT ON (security_id, quarter)
        security_id, session, quarter, known_at, filers, holders, share_owned, compared_shares, shares_before
 FROM closingbell.institutional_ownership
 WHERE quarter >= :oldest AND session <= :first
 ORDER BY security_id, quarter, session DESC)
UNION ALL
SELECT security_id, session, quarter, known_at, filers, holders, share_owned, compared_shares, shares_before
FROM closingbell.institutional_ownership
WHERE quarter >= :oldest AND session > :first AND session <= :last;
