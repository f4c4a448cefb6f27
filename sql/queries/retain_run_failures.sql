DELETE FROM ops.run_failures WHERE failed_at < clock_timestamp() - make_interval(days => :days);
