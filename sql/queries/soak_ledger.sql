-- How many rows each table must hold, by the ledger.
SELECT dataset, CAST(sum(rows_inserted - rows_deleted) AS bigint) AS rows
FROM ops.load_ledger
GROUP BY dataset
ORDER BY dataset;
