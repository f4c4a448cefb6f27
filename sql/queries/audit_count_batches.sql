UPDATE ops.stage_batches AS b
SET quarantined = coalesce(c.quarantined, 0), duplicates = coalesce(c.duplicates, 0)
FROM ops.stage_batches AS all_batches
LEFT JOIN (
    SELECT batch_id, count(*) FILTER (WHERE rule IN ('duplicate', 'superseded')) AS duplicates,
           count(*) FILTER (WHERE rule NOT IN ('duplicate', 'superseded')) AS quarantined
    FROM {stage}
    WHERE rule IS NOT NULL
    GROUP BY batch_id
) AS c ON c.batch_id = all_batches.batch_id
WHERE b.stage_id = :stage_id AND all_batches.stage_id = b.stage_id AND all_batches.batch_id = b.batch_id
  AND (b.quarantined, b.duplicates) IS DISTINCT FROM (coalesce(c.quarantined, 0), coalesce(c.duplicates, 0));
