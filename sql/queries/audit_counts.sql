SELECT coalesce(sum(rows), 0) AS rows_in, coalesce(sum(quarantined), 0) AS rows_quarantined,
       coalesce(sum(duplicates), 0) AS rows_duplicate
FROM ops.stage_batches
WHERE stage_id = :stage_id;
