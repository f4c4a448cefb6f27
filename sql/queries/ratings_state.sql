-- Whether there are ratings; when removals were last asked for (published answers only).
SELECT EXISTS (SELECT FROM closingbell.analyst_ratings) AS filled,
       (SELECT max(l.answered_at)
        FROM ops.landings AS l
        JOIN ops.published_landings AS p ON p.landing_id = l.landing_id AND p.table_name = 'analyst_ratings'
        WHERE l.vendor = 'benzinga' AND l.endpoint = 'calendar_removed'
          AND l.request -> 'params' ->> 'page' = '0') AS removals_asked_at;
