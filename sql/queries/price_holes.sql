-- Of each share the first of the sessions that a vendor asked by ticker owes us: it was listed, and has no bar, or an
-- older one that is not final. Two final answers (07:00 New York of the next day and later) without a bar settle a day:
-- nobody traded. :security_ids bigint[] with :tickers text[] in the vendor's spelling, :sessions date[], :last date the
-- newest of them, of which :given bigint[] are had already; :again date[] are asked for whatever is stored;
-- :vendor, :endpoint text, whose keys are TICKER:FROM:TO
WITH wanted AS MATERIALIZED (
    SELECT w.security_id, w.ticker, s.first_session, s.last_session
    FROM unnest(CAST(:security_ids AS bigint[]), CAST(:tickers AS text[])) AS w (security_id, ticker)
    JOIN closingbell.securities AS s USING (security_id)
),
hole AS MATERIALIZED (
    SELECT w.security_id, w.ticker, d.session, d.session = ANY(CAST(:again AS date[])) AS again
    FROM unnest(CAST(:sessions AS date[])) AS d (session)
    JOIN wanted AS w
      ON coalesce(w.first_session <= d.session, true) AND coalesce(w.last_session >= d.session, true)
    LEFT JOIN closingbell.stock_prices AS p ON p.security_id = w.security_id AND p.session = d.session
    WHERE (p.session IS NULL OR d.session = ANY(CAST(:again AS date[])) OR (NOT p.final AND d.session < CAST(:last AS date)))
      AND NOT (d.session = CAST(:last AS date) AND w.security_id = ANY(CAST(:given AS bigint[])))
),
answer AS MATERIALIZED (
    SELECT split_part(key, ':', 1) AS ticker, CAST(split_part(key, ':', 2) AS date) AS asked_from,
           CAST(split_part(key, ':', 3) AS date) AS asked_to, answered_at
    FROM ops.landings
    WHERE vendor = :vendor AND endpoint = :endpoint AND request ->> 'method' IS DISTINCT FROM 'file'
),
settled AS (
    SELECT h.security_id, h.session
    FROM hole AS h
    JOIN answer AS a
      ON a.ticker = h.ticker AND h.session BETWEEN a.asked_from AND a.asked_to
     AND a.answered_at >= (h.session + 1 + TIME '07:00') AT TIME ZONE 'America/New_York'
    GROUP BY h.security_id, h.session
    HAVING count(*) > 1
)
SELECT h.security_id, min(h.session) AS first, count(*) AS sessions
FROM hole AS h LEFT JOIN settled AS s USING (security_id, session)
WHERE h.again OR s.session IS NULL
GROUP BY h.security_id;
