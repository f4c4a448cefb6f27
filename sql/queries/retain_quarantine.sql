DELETE FROM ops.quarantine WHERE quarantined_at < clock_timestamp() - make_interval(days => :days);
