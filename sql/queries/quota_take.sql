-- clock_timestamp() stands in SET, not in a FROM: after a wait for the row's lock it must be read again
UPDATE ops.vendor_quota
SET tat = greatest(tat, clock_timestamp()) + make_interval(secs => :n / per_second),
    day_used = CASE WHEN day = CAST(clock_timestamp() AT TIME ZONE day_zone AS date) THEN day_used ELSE 0 END + :n,
    day = CAST(clock_timestamp() AT TIME ZONE day_zone AS date)
WHERE vendor = :vendor AND key = :key
  AND (day_limit IS NULL
       OR CASE WHEN day = CAST(clock_timestamp() AT TIME ZONE day_zone AS date) THEN day_used ELSE 0 END + :n <= day_limit)
RETURNING extract(epoch FROM tat - make_interval(secs => greatest(burst, :n) / per_second) - clock_timestamp()) AS wait;
