-- A million rows are sorted in memory and not read through the stage's index, and what is in the table already is left out
-- by one hash of `matched`, not by a look at each. Ends with the transaction.
SELECT set_config('work_mem', '256MB', true), set_config('enable_indexscan', 'off', true), set_config('enable_nestloop', 'off', true);
