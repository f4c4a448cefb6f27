INSERT INTO ops.audit_results (stage_id, expectation, severity, passed, observed)
VALUES (:stage_id, :expectation, :severity, :passed, CAST(:observed AS jsonb))
ON CONFLICT (stage_id, expectation) DO UPDATE
SET severity = excluded.severity, passed = excluded.passed, observed = excluded.observed, audited_at = clock_timestamp();
