-- A million rows are sorted in memory and not read through the stage's index. Ends with the transaction.
SELECT set_config('work_mem', '256MB', true), set_config('enable_indexscan', 'off', true);
