SELECT s.table_name, a.expectation, a.severity, a.passed, a.observed::text AS observed, a.audited_at
FROM ops.audit_results a
JOIN ops.stages s USING (stage_id)
WHERE s.dag_id = :dag_id AND s.run_id = :run_id
ORDER BY a.passed, s.table_name, a.expectation
