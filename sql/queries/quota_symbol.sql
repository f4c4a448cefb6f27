-- :symbol (text) among the symbols of the vendor's local month. No row where the month has no room for another one.
-- One UPDATE, so that two processes never take the last place; clock_timestamp() is read again after a wait for the row
UPDATE ops.vendor_quota
SET symbols = CASE WHEN month = CAST(date_trunc('month', clock_timestamp() AT TIME ZONE day_zone) AS date) THEN symbols
                   ELSE '{}' END
              || CASE WHEN month = CAST(date_trunc('month', clock_timestamp() AT TIME ZONE day_zone) AS date)
                       AND :symbol = ANY(symbols) THEN CAST('{}' AS text[]) ELSE ARRAY[CAST(:symbol AS text)] END,
    month = CAST(date_trunc('month', clock_timestamp() AT TIME ZONE day_zone) AS date)
WHERE vendor = :vendor AND key = :key
  AND (symbol_limit IS NULL
       OR month IS DISTINCT FROM CAST(date_trunc('month', clock_timestamp() AT TIME ZONE day_zone) AS date)
          AND symbol_limit > 0
       OR month = CAST(date_trunc('month', clock_timestamp() AT TIME ZONE day_zone) AS date)
          AND (:symbol = ANY(symbols) OR cardinality(symbols) < symbol_limit))
RETURNING cardinality(symbols) AS symbols_used;
