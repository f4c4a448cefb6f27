SELECT dataset, max(loaded_at) AS loaded_at, sum(rows_in)::bigint AS rows_in
FROM ops.load_ledger
WHERE partition_key = :session
GROUP BY dataset
