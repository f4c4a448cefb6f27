-- Seconds since the last publish of every table.
SELECT dataset, CAST(extract(epoch FROM clock_timestamp() - max(loaded_at)) AS double precision) AS seconds
FROM ops.load_ledger GROUP BY dataset ORDER BY dataset
