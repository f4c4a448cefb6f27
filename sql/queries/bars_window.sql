-- The last :bars bars up to a session of each security that has a bar on it, or of those asked for.
-- :session date, :bars integer, :security_ids bigint[] or NULL for all
SELECT p.security_id, p.session, p.open, p.high, p.low, p.close, p.volume, p.adjusted_as_of
FROM closingbell.stock_prices t
CROSS JOIN LATERAL (
    SELECT b.security_id, b.session, b.open, b.high, b.low, b.close, b.volume, b.adjusted_as_of
    FROM closingbell.stock_prices b
    WHERE b.security_id = t.security_id AND b.session <= t.session
    ORDER BY b.session DESC
    LIMIT CAST(:bars AS integer)
) p
WHERE t.session = CAST(:session AS date)
  AND (CAST(:security_ids AS bigint[]) IS NULL OR t.security_id = ANY(CAST(:security_ids AS bigint[])));
