-- Of a table that was empty when it was analysed the planner expects one row, and scans it anew for each staged row while
-- the same statement fills it: no nested loop into a table of a few pages. Ends with the transaction.
SELECT set_config('enable_nestloop', 'off', true) WHERE pg_relation_size('{target}'::regclass) < 8 * 1024 * 1024;
