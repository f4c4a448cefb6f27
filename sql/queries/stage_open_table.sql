-- no keys and no NOT NULL: what breaks them goes to quarantine with a name, instead of failing the whole batch
CREATE UNLOGGED TABLE IF NOT EXISTS {stage} WITH (autovacuum_enabled = false) AS
SELECT t.*, NULL::text AS batch_id, NULL::text AS rule
FROM {target} AS t
WITH NO DATA;
