-- no keys and no NOT NULL: what breaks them goes to quarantine with a name, instead of failing the whole batch
-- refused: what the parser says of a row that it could not read, 'reason: what and what to do'
CREATE UNLOGGED TABLE IF NOT EXISTS {stage} WITH (autovacuum_enabled = false) AS
SELECT t.*, NULL::text AS batch_id, NULL::text AS rule, NULL::text AS refused
FROM {target} AS t
WITH NO DATA;
