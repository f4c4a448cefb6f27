-- The first day from :first to :last (dates) whose splits no published run has asked Polygon for, the day after :last where
-- each was. A day later than the answer does not count: its splits were not all announced.
WITH asked AS (
    SELECT range_agg(daterange(CAST(params ->> 'execution_date.gte' AS date), least(CAST(params ->> 'execution_date.lte' AS date),
                     CAST(answered_at AT TIME ZONE 'America/New_York' AS date)) + 1)) AS days
    FROM ops.landings AS l
    JOIN ops.published_landings AS p ON p.landing_id = l.landing_id AND p.table_name = 'corporate_actions'
    CROSS JOIN LATERAL (SELECT l.request -> 'params') AS r(params)
    WHERE l.vendor = 'polygon' AND l.endpoint = 'splits' AND params ? 'execution_date.gte'
      AND CAST(params ->> 'execution_date.gte' AS date) <= CAST(answered_at AT TIME ZONE 'America/New_York' AS date)
)
SELECT coalesce(lower(datemultirange(daterange(:first, :last, '[]')) - coalesce(days, '{}')), CAST(:last AS date) + 1) AS day
FROM asked;
