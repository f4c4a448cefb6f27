-- by `burst` more than the pause, which a full bucket would otherwise let through at once
UPDATE ops.vendor_quota
SET tat = greatest(tat, clock_timestamp() + make_interval(secs => :seconds + (burst - 1) / per_second))
WHERE vendor = :vendor AND key = :key;
