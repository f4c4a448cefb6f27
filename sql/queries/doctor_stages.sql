-- Stages that did not publish within :hours, oldest first.
SELECT dag_id, run_id, table_name, partition_key, status, opened_at
FROM ops.stages
WHERE status IN ('open', 'audited', 'failed') AND opened_at < clock_timestamp() - make_interval(hours => :hours)
ORDER BY opened_at;
