SELECT stage_id, dag_id, run_id, opened_at FROM ops.stages
WHERE status IN ('open', 'audited', 'failed') AND opened_at < clock_timestamp() - make_interval(hours => :hours);
