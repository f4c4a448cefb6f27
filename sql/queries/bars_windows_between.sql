-- Bars that the windows of every session from :first to :last need: those between, and the last :bars before :first.
-- :first date, :last date, :bars integer, :security_ids bigint[] or NULL for all
SELECT p.security_id, p.session, p.open, p.high, p.low, p.close, p.volume, p.adjusted_as_of
FROM closingbell.securities s
CROSS JOIN LATERAL (
    (SELECT b.security_id, b.session, b.open, b.high, b.low, b.close, b.volume, b.adjusted_as_of
     FROM closingbell.stock_prices b
     WHERE b.security_id = s.security_id AND b.session < CAST(:first AS date)
     ORDER BY b.session DESC
     LIMIT CAST(:bars AS integer))
    UNION ALL
    (SELECT b.security_id, b.session, b.open, b.high, b.low, b.close, b.volume, b.adjusted_as_of
     FROM closingbell.stock_prices b
     WHERE b.security_id = s.security_id AND b.session BETWEEN CAST(:first AS date) AND CAST(:last AS date))
) p
WHERE CAST(:security_ids AS bigint[]) IS NULL OR s.security_id = ANY(CAST(:security_ids AS bigint[]));
