-- Until when published runs have read EDGAR's feed of ownership filings, and the days whose index they have read. One that
-- was read on its own evening is read once more: EDGAR may have been writing it.
SELECT max(l.answered_at) FILTER (WHERE l.endpoint = 'getcurrent') AS fed_until,
       array_agg(DISTINCT l.key) FILTER (WHERE l.endpoint = 'daily_index'
           AND CAST(l.answered_at AT TIME ZONE 'America/New_York' AS date) > CAST(l.key AS date)) AS indexed
FROM ops.published_landings AS p JOIN ops.landings AS l USING (landing_id)
WHERE p.table_name = 'insider_trades' AND l.vendor = 'sec_edgar' AND l.endpoint IN ('getcurrent', 'daily_index');
