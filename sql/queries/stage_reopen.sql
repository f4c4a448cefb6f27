UPDATE ops.stages
SET status = 'open', expected = CAST(:expected AS jsonb), asked = CAST(:asked AS json), partition_key = :partition_key,
    round = round + CASE status WHEN 'published' THEN 1 ELSE 0 END,
    opened_at = clock_timestamp(), audited_at = NULL, published_at = NULL
WHERE stage_id = :stage_id;
