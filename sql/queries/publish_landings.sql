INSERT INTO ops.published_landings (table_name, landing_id)
SELECT :table, landing_id FROM {stage} WHERE landing_id IS NOT NULL AND rule IS NULL
UNION
SELECT :table, unnest(landing_ids) FROM ops.stage_batches WHERE stage_id = :stage_id
ON CONFLICT DO NOTHING;
