-- Until when rows are counted and from which day filings were loaded then; the first day whose index is loaded now (an
-- index may be past its retention); the last session that has sums; and the newest answer of EDGAR (where there is none, of
-- a file), which is up to when something is known.
WITH counted AS (
    SELECT CAST(expected ->> 'upto' AS timestamptz) AS upto, CAST(expected ->> 'filings_from' AS date) AS filings_from
    FROM ops.stages
    WHERE table_name = 'insider_activity' AND status = 'published' AND expected ->> 'upto' IS NOT NULL
)
SELECT (SELECT max(upto) FROM counted) AS since,
       (SELECT min(filings_from) FROM counted) AS counted_from,
       least((SELECT min(filings_from) FROM counted),
             (SELECT min(CAST(l.key AS date)) FROM ops.landings AS l JOIN ops.published_landings AS p USING (landing_id)
              WHERE p.table_name = 'insider_trades' AND l.endpoint = 'daily_index')) AS filings_from,
       (SELECT max(session) FROM closingbell.insider_activity) AS last,
       (SELECT coalesce(max(l.answered_at) FILTER (WHERE l.request ->> 'method' = 'GET'), max(l.answered_at))
        FROM ops.landings AS l JOIN ops.published_landings AS p USING (landing_id)
        WHERE p.table_name = 'insider_trades') AS answered_at,
       clock_timestamp() AS upto;
