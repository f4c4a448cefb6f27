SELECT rule, count(*) AS rows FROM ops.quarantine WHERE stage_id = :stage_id GROUP BY rule ORDER BY rule;
