-- Whether a run has a stage that is neither published nor given up.
SELECT count(*) > 0 AS unpublished
FROM ops.stages WHERE dag_id = :dag_id AND run_id = :run_id AND status IN ('open', 'audited')
