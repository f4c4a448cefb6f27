-- How far a load is. :stages text[] (of its tables); :first, :last text (of its first and last table, which tell what is
-- landed and what is staged).
SELECT (SELECT min(opened_at) FROM ops.stages WHERE stage_id = ANY(CAST(:stages AS text[]))) AS opened_at,
       (SELECT count(landed) FROM ops.planned_batches WHERE stage_id = :first) AS landed,
       b.staged, b.first_staged_at
FROM (SELECT count(*) AS staged, min(staged_at) AS first_staged_at FROM ops.stage_batches WHERE stage_id = :last) b
