-- The first day that ratings of a security are loaded from: asked for, or given by an operator's file.
WITH asked AS (
    SELECT t.security_id, CAST(l.request -> 'params' ->> 'parameters[date_from]' AS date) AS day
    FROM ops.landings AS l
    JOIN ops.published_landings AS p ON p.landing_id = l.landing_id AND p.table_name = 'analyst_ratings'
    CROSS JOIN LATERAL string_to_array(l.request -> 'params' ->> 'parameters[tickers]', ',') AS listed(tickers)
    JOIN closingbell.borne_tickers AS t ON t.ticker = ANY(listed.tickers)
    WHERE l.vendor = 'benzinga' AND l.endpoint = 'calendar_ratings'
      AND l.request -> 'params' ->> 'parameters[date_from]' IS NOT NULL
), given AS (
    SELECT security_id, min(CAST(rated_at AT TIME ZONE 'America/New_York' AS date)) AS day
    FROM closingbell.analyst_ratings WHERE security_id IS NOT NULL GROUP BY security_id
)
SELECT security_id, min(day) AS asked_from FROM (SELECT * FROM asked UNION ALL SELECT * FROM given) AS known GROUP BY security_id;
