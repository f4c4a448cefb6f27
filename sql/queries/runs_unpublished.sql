-- Those of the runs (:dag_ids and :run_ids, text[] of one length) that have a stage neither published nor given up.
SELECT DISTINCT dag_id, run_id
FROM ops.stages JOIN unnest(CAST(:dag_ids AS text[]), CAST(:run_ids AS text[])) AS asked (dag_id, run_id) USING (dag_id, run_id)
WHERE status IN ('open', 'audited')
