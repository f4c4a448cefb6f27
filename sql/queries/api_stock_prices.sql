-- The last :bars (integer) bars of :security_id up to :session (date), in order, on that session's split basis, and where each
-- came from. A bar that its vendor adjusted up to a later day, `adjusted_as_of`, stays on the basis of that.
SELECT * FROM (
    SELECT p.session, p.close * x.prices AS close, p.volume * x.shares AS volume, p.source,
           CASE WHEN p.adjusted_as_of > :session THEN p.adjusted_as_of END AS adjusted_as_of, p.final, p.fetched_at
    FROM closingbell.stock_prices AS p
    CROSS JOIN LATERAL (
        SELECT COALESCE(exp(sum(ln(a.denominator / a.numerator))), 1) AS prices,
               COALESCE(exp(sum(ln(a.numerator / a.denominator)) FILTER (WHERE a.kind = 'split')), 1) AS shares
        FROM closingbell.corporate_actions AS a
        WHERE a.security_id = p.security_id AND a.kind IN ('split', 'spin_off') AND a.ex_date <= :session
          AND a.ex_date > GREATEST(p.session, p.adjusted_as_of)
    ) AS x
    WHERE p.security_id = :security_id AND p.session <= :session
    ORDER BY p.session DESC LIMIT CAST(:bars AS integer)
) AS newest ORDER BY session;
