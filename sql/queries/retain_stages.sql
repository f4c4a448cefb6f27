SELECT stage_id FROM ops.stages
WHERE status IN ('open', 'audited', 'failed') AND opened_at < clock_timestamp() - make_interval(hours => :hours);
