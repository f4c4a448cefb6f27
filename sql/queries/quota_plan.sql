INSERT INTO ops.vendor_quota AS q (vendor, key, per_second, burst, day_limit, day_zone, symbol_limit)
VALUES (:vendor, :key, :per_second, :burst, :day_limit, :day_zone, :symbol_limit)
ON CONFLICT (vendor, key) DO UPDATE
SET per_second = excluded.per_second, burst = excluded.burst, day_limit = excluded.day_limit,
    day_zone = excluded.day_zone, symbol_limit = excluded.symbol_limit
WHERE (q.per_second, q.burst, q.day_limit, q.day_zone, q.symbol_limit)
    IS DISTINCT FROM (excluded.per_second, excluded.burst, excluded.day_limit, excluded.day_zone, excluded.symbol_limit);
