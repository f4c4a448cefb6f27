SELECT expectation, severity, passed, observed FROM ops.audit_results WHERE stage_id = :stage_id ORDER BY expectation;
