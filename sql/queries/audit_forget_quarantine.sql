DELETE FROM ops.quarantine WHERE stage_id = :stage_id;
