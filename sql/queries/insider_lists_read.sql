-- Until when published runs have read EDGAR's feed of ownership filings, and the days whose index they have read.
SELECT max(l.answered_at) FILTER (WHERE l.endpoint = 'getcurrent') AS fed_until,
       array_agg(DISTINCT l.key) FILTER (WHERE l.endpoint = 'daily_index') AS indexed
FROM ops.published_landings AS p JOIN ops.landings AS l USING (landing_id)
WHERE p.table_name = 'insider_trades' AND l.vendor = 'sec_edgar' AND l.endpoint IN ('getcurrent', 'daily_index');
