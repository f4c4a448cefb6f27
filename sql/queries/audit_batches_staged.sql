-- the batch itself is not read: a batch without rows is staged too
SELECT e.batch_id
FROM ops.stages AS s
CROSS JOIN LATERAL jsonb_array_elements_text(s.expected -> 'batches') AS e (batch_id)
LEFT JOIN ops.stage_batches AS b ON b.stage_id = s.stage_id AND b.batch_id = e.batch_id
WHERE s.stage_id = '{stage_id}' AND b.batch_id IS NULL
UNION ALL
SELECT batch_id FROM {batch} WHERE false
