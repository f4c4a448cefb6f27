-- Who but this run holds any of these partitions (:tables and :keys, text[] of one length; '*' is every partition of a
-- table), with the first one of each holder.
SELECT dag_id, run_id, by_command, min(table_name || ' ' || partition_key) AS partition, count(*) AS partitions
FROM ops.partition_claims AS held
WHERE (dag_id, run_id) <> (:dag_id, :run_id)
  AND EXISTS (SELECT FROM unnest(CAST(:tables AS text[]), CAST(:keys AS text[])) AS w (name, key)
              WHERE w.name = held.table_name AND (w.key = held.partition_key OR '*' IN (w.key, held.partition_key)))
GROUP BY dag_id, run_id, by_command
ORDER BY 4
