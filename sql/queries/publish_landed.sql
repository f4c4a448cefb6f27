-- the landings of the rows that are published
CREATE TEMPORARY TABLE landed ON COMMIT DROP AS
SELECT DISTINCT landing_id FROM {stage} WHERE rule IS NULL AND landing_id IS NOT NULL;
