SELECT table_name, rule, number AS rows, landing_id, content::text AS content
FROM (
    SELECT q.*, count(*) OVER by_rule AS number, row_number() OVER (by_rule ORDER BY quarantine_id) AS nth
    FROM ops.quarantine q
    JOIN ops.stages s USING (stage_id)
    WHERE s.dag_id = :dag_id AND s.run_id = :run_id
    WINDOW by_rule AS (PARTITION BY q.table_name, q.rule)
) ranked
WHERE nth <= :examples
ORDER BY table_name, rule, nth
