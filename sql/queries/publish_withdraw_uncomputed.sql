-- a computation of whole sessions (the audit expects them): rows of these sessions that it no longer gives
INSERT INTO withdrawn
SELECT t.tableoid, t.ctid, 'no longer computed'
FROM {target} AS t
WHERE t.session IN (SELECT CAST(d AS date) FROM ops.stages CROSS JOIN LATERAL jsonb_array_elements_text(expected -> 'sessions') AS d
                    WHERE stage_id = :stage_id)
  AND NOT EXISTS (SELECT FROM {stage} AS s WHERE {same_key} AND s.rule IS NULL)
  AND NOT EXISTS (SELECT FROM withdrawn AS w WHERE w.published = t.ctid AND w.part = t.tableoid);
