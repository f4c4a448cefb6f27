SELECT q.vendor, q.key, q.per_second, q.day_limit, d.day_used,
       greatest(q.day_limit - d.day_used, 0) AS day_left,
       (d.today + 1)::timestamp AT TIME ZONE q.day_zone AS resets_at,
       CASE WHEN q.tat = '-infinity' THEN 0 ELSE CAST(
           greatest(0, extract(epoch FROM q.tat - make_interval(secs => (q.burst - 1) / q.per_second) - clock_timestamp()))
           AS double precision) END AS wait
FROM ops.vendor_quota AS q
CROSS JOIN LATERAL (
    SELECT CAST(clock_timestamp() AT TIME ZONE q.day_zone AS date) AS today,
           CASE WHEN q.day = CAST(clock_timestamp() AT TIME ZONE q.day_zone AS date) THEN q.day_used ELSE 0 END AS day_used
) AS d
WHERE (CAST(:vendor AS text) IS NULL OR q.vendor = :vendor) AND (CAST(:key AS text) IS NULL OR q.key = :key)
ORDER BY q.vendor, q.key;
