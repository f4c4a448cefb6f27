-- Until when rows are counted and from which day filings were loaded then; the first day whose index is loaded now; the
-- last session that has sums; and the newest answer of EDGAR (where there is none, of a file): up to when something is known.
SELECT (SELECT max(CAST(expected ->> 'upto' AS timestamptz)) FROM ops.stages
        WHERE table_name = 'insider_activity' AND status = 'published') AS since,
       (SELECT CAST(expected ->> 'filings_from' AS date) FROM ops.stages
        WHERE table_name = 'insider_activity' AND status = 'published' AND expected ? 'upto'
        ORDER BY published_at DESC LIMIT 1) AS counted_from,
       (SELECT min(CAST(l.key AS date)) FROM ops.landings AS l JOIN ops.published_landings AS p USING (landing_id)
        WHERE p.table_name = 'insider_trades' AND l.endpoint = 'daily_index') AS filings_from,
       (SELECT max(session) FROM closingbell.insider_activity) AS last,
       (SELECT coalesce(max(l.answered_at) FILTER (WHERE l.request ->> 'method' = 'GET'), max(l.answered_at))
        FROM ops.landings AS l JOIN ops.published_landings AS p USING (landing_id)
        WHERE p.table_name = 'insider_trades') AS answered_at,
       clock_timestamp() AS upto;
