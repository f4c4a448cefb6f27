INSERT INTO ops.stage_batches (stage_id, batch_id, rows, inputs_sha256, landing_ids)
VALUES (:stage_id, :batch_id, :rows, :inputs_sha256, :landing_ids)
ON CONFLICT (stage_id, batch_id) DO UPDATE
SET rows = excluded.rows, inputs_sha256 = excluded.inputs_sha256, landing_ids = excluded.landing_ids,
    quarantined = 0, duplicates = 0, staged_at = clock_timestamp();
