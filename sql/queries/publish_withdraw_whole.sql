-- a replay that computes the whole table: rows that it no longer gives
INSERT INTO withdrawn
SELECT t.tableoid, t.ctid, 'no longer computed'
FROM {target} AS t
WHERE (SELECT expected -> 'whole' FROM ops.stages WHERE stage_id = :stage_id) = 'true'
  AND NOT EXISTS (SELECT FROM {stage} AS s WHERE {same_key} AND s.rule IS NULL)
  AND NOT EXISTS (SELECT FROM withdrawn AS w WHERE w.published = t.ctid AND w.part = t.tableoid);
