DELETE FROM ops.audit_results WHERE audited_at < clock_timestamp() - make_interval(days => :days);
