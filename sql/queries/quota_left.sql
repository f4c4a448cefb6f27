SELECT q.vendor, q.key, q.per_second, q.day_limit, d.day_used,
       CASE WHEN q.day_limit IS NOT NULL THEN greatest(q.day_limit - d.day_used, 0) END AS day_left,
       (d.today + 1)::timestamp AT TIME ZONE q.day_zone AS resets_at,
       q.symbol_limit, d.symbols_used,
       CASE WHEN q.symbol_limit IS NOT NULL THEN greatest(q.symbol_limit - d.symbols_used, 0) END AS symbols_left,
       (date_trunc('month', d.today) + interval '1 month')::timestamp AT TIME ZONE q.day_zone AS symbols_reset_at,
       CASE WHEN q.tat = '-infinity' THEN 0 ELSE CAST(
           greatest(0, extract(epoch FROM q.tat - make_interval(secs => (q.burst - 1) / q.per_second) - clock_timestamp()))
           AS double precision) END AS wait
FROM ops.vendor_quota AS q
CROSS JOIN LATERAL (
    SELECT n.today,
           CASE WHEN q.day = n.today THEN q.day_used ELSE 0 END AS day_used,
           CASE WHEN q.month = CAST(date_trunc('month', n.today) AS date) THEN cardinality(q.symbols) ELSE 0 END AS symbols_used
    FROM (SELECT CAST(clock_timestamp() AT TIME ZONE q.day_zone AS date) AS today) AS n
) AS d
WHERE (CAST(:vendor AS text) IS NULL OR q.vendor = :vendor) AND (CAST(:key AS text) IS NULL OR q.key = :key)
ORDER BY q.vendor, q.key;
