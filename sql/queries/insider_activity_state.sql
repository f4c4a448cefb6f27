-- Until when rows are counted, the last session that has sums, and the newest answer of EDGAR, which is what is known.
SELECT (SELECT max(CAST(expected ->> 'upto' AS timestamptz)) FROM ops.stages
        WHERE table_name = 'insider_activity' AND status = 'published') AS since,
       (SELECT max(session) FROM closingbell.insider_activity) AS last,
       (SELECT max(l.answered_at) FROM ops.landings AS l JOIN ops.published_landings AS p USING (landing_id)
        WHERE p.table_name = 'insider_trades') AS answered_at,
       clock_timestamp() AS upto;
