-- Until when rows are counted, the last session that has sums, and the newest answer of EDGAR (where there is
-- none, of a file), which is up to when something is known.
SELECT (SELECT max(CAST(expected ->> 'upto' AS timestamptz)) FROM ops.stages
        WHERE table_name = 'insider_activity' AND status = 'published') AS since,
       (SELECT max(session) FROM closingbell.insider_activity) AS last,
       (SELECT coalesce(max(l.answered_at) FILTER (WHERE l.request ->> 'method' = 'GET'), max(l.answered_at))
        FROM ops.landings AS l JOIN ops.published_landings AS p USING (landing_id)
        WHERE p.table_name = 'insider_trades') AS answered_at,
       clock_timestamp() AS upto;
