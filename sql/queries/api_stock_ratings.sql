-- The newest :most (integer) ratings of :security_id as :known_at (timestamptz) knew them, their targets on the split basis of
-- :session (date).
SELECT r.vendor, r.rating_id, r.analyst_firm, r.analyst_name, r.action, r.rating, r.rating_before,
       r.price_target / x.ratio AS price_target, r.price_target_before / x.ratio AS price_target_before, r.currency,
       r.rated_at, r.known_at, r.removed_at <= :known_at AS removed, r.url
FROM closingbell.ratings_known(:security_id, :known_at) AS r
CROSS JOIN LATERAL (
    SELECT coalesce(exp(sum(ln(a.numerator / a.denominator))), 1) AS ratio
    FROM closingbell.corporate_actions AS a
    WHERE a.security_id = r.security_id AND a.kind = 'split' AND a.ex_date <= :session
      AND a.ex_date > CAST(r.rated_at AT TIME ZONE 'America/New_York' AS date)
) AS x
ORDER BY r.rated_at DESC, r.rating_id LIMIT CAST(:most AS integer);
