-- a replay: rows of these landings that the landings no longer give
INSERT INTO withdrawn
SELECT t.tableoid, t.ctid, 'no longer given'
FROM {target} AS t
WHERE t.landing_id = ANY(CAST(:landing_ids AS bigint[]))
  AND NOT EXISTS (SELECT FROM {stage} AS s WHERE {same_key} AND s.rule IS NULL)
  AND NOT EXISTS (SELECT FROM withdrawn AS w WHERE w.published = t.ctid AND w.part = t.tableoid);
