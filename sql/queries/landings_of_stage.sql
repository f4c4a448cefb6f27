-- The landings that the batches of a stage were read from.
SELECT DISTINCT unnest(landing_ids) AS landing_id FROM ops.stage_batches WHERE stage_id = :stage_id;
