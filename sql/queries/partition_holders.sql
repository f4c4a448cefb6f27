-- Who but this run holds any of these partitions, with the first one of each holder.
SELECT dag_id, run_id, by_command, min(table_name || ' ' || partition_key) AS partition, count(*) AS partitions
FROM ops.partition_claims
WHERE table_name = ANY(:tables) AND partition_key = ANY(:keys) AND (dag_id, run_id) <> (:dag_id, :run_id)
GROUP BY dag_id, run_id, by_command
ORDER BY 4
