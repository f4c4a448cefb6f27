DELETE FROM ops.revisions WHERE revised_at < clock_timestamp() - make_interval(days => :days);
