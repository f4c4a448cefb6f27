-- The security that :ticker leads to on :session (date; NULL: the newest scored one): who bore it then, else who bore it
-- last before, else who bears it today; with the ticker, name and sector it had then. `newest`: the newest scored session.
WITH asked AS (  -- the ends of the calendar come as infinities, from which no day can be counted
    SELECT GREATEST(LEAST(COALESCE(CAST(:session AS date), n.newest, CURRENT_DATE), '2200-01-01'), '1900-01-01') AS session,
           n.newest
    FROM (SELECT session AS newest FROM ops.newest_scored) AS n
), bearer AS (
    SELECT h.security_id
    FROM asked AS a CROSS JOIN closingbell.borne_tickers AS h
    WHERE h.ticker = :ticker
    ORDER BY h.valid_from <= a.session AND COALESCE(h.valid_to, a.session) >= a.session DESC,
             h.valid_from <= a.session DESC, h.valid_from DESC, h.security_id
    LIMIT 1
)
SELECT s.security_id, s.cik, t.ticker, COALESCE(c.name, s.name) AS company_name, a.session, a.newest
FROM bearer
JOIN closingbell.securities AS s USING (security_id)
CROSS JOIN asked AS a
LEFT JOIN LATERAL (
    SELECT h.ticker FROM closingbell.borne_tickers AS h
    WHERE h.security_id = s.security_id
    ORDER BY a.session BETWEEN h.valid_from AND COALESCE(h.valid_to, a.session) DESC,
             h.valid_from > a.session, abs(h.valid_from - a.session), h.ticker
    LIMIT 1
) AS t ON true
LEFT JOIN LATERAL (
    SELECT k.name FROM closingbell.companies AS k
    WHERE k.cik = s.cik
    ORDER BY k.valid_from > a.session, abs(k.valid_from - a.session)
    LIMIT 1
) AS c ON true;
