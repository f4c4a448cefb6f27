-- When rows of a landing were last published: again where an answer that was read before gives new ones now.
INSERT INTO ops.published_landings (table_name, landing_id)
SELECT :table, landing_id FROM landed WHERE landing_id IS NOT NULL
UNION
SELECT :table, unnest(landing_ids) FROM ops.stage_batches WHERE stage_id = :stage_id
ON CONFLICT (table_name, landing_id) DO UPDATE SET published_at = clock_timestamp()
WHERE published_landings.landing_id = ANY(:again);
