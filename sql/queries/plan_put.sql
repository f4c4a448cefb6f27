INSERT INTO ops.planned_batches (stage_id, key, number, batch)
SELECT :stage_id, key, number, CAST(batch AS json)
FROM unnest(CAST(:keys AS text[]), CAST(:batches AS text[])) WITH ORDINALITY AS planned (key, batch, number);
