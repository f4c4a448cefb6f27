-- The newest ledger row, and how many rows the publishes after :mark changed.
SELECT max(ledger_id) AS last,
       sum(rows_inserted + rows_updated + rows_deleted) FILTER (WHERE ledger_id > :mark) AS changed
FROM ops.load_ledger;
