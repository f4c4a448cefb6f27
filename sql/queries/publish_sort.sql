-- A million rows are sorted in memory, not read through the stage's index nor looked up one by one among those that match
-- none. Ends with the transaction.
SELECT set_config('work_mem', '256MB', true), set_config('enable_indexscan', 'off', true), set_config('enable_nestloop', 'off', true);
