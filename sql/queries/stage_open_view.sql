-- a derived frame carries no lineage: it was computed now
ALTER TABLE {stage} ALTER COLUMN fetched_at SET DEFAULT clock_timestamp();
CREATE OR REPLACE VIEW {kept} AS SELECT * FROM {stage} WHERE rule IS NULL;
