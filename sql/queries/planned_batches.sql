-- Batches of an unfinished load, in order. :first text (stage of its first table), :stages text[] (of all its tables),
-- :key text (of one batch; null: all). None where it has published, was abandoned, or an audit failed: that starts anew.
SELECT CAST(batch AS text) AS batch, CAST(landed AS text) AS landed
FROM ops.planned_batches
WHERE stage_id = :first AND (CAST(:key AS text) IS NULL OR key = :key)
  AND (SELECT bool_or(status IN ('open', 'audited')) AND NOT bool_or(status IN ('failed', 'abandoned'))
       FROM ops.stages WHERE stage_id = ANY(CAST(:stages AS text[])))
ORDER BY number;
