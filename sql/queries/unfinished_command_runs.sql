-- Runs of :dag_id that the closingbell command began and that published not every table, newest first. :run_id text
-- (null: any)
SELECT run_id, min(partition_key) AS partition_key, min(CAST(asked AS text)) AS asked, max(opened_at) AS opened_at
FROM ops.stages
WHERE dag_id = :dag_id AND asked IS NOT NULL AND (CAST(:run_id AS text) IS NULL OR run_id = :run_id)
GROUP BY run_id
HAVING bool_or(status IN ('open', 'audited', 'failed'))
ORDER BY max(opened_at) DESC;
