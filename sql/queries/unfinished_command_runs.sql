-- Runs of :dag_id that the closingbell command began and that published not every table, newest first.
SELECT run_id, min(partition_key) AS partition_key, max(opened_at) AS opened_at
FROM ops.stages
WHERE dag_id = :dag_id AND run_id LIKE 'cli\_\_%'
GROUP BY run_id
HAVING bool_or(status IN ('open', 'audited', 'failed'))
ORDER BY max(opened_at) DESC;
