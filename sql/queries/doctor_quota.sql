-- What each vendor and key used of its day, and how long a request would wait now (seconds).
SELECT vendor, key, day_limit,
       CASE WHEN day = (clock_timestamp() AT TIME ZONE day_zone)::date THEN day_used ELSE 0 END AS day_used,
       CASE WHEN tat = '-infinity' THEN 0
            ELSE greatest(0, extract(epoch FROM tat - clock_timestamp()))::double precision END AS wait_seconds
FROM ops.vendor_quota
ORDER BY vendor, key;
