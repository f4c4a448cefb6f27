-- depends: 0008_partition_claims
-- What a run that has not published was planned to load, and what of it is landed: whoever goes on with it, a command
-- or a cleared task, neither plans nor asks again.
CREATE TABLE ops.planned_batches (
    stage_id text NOT NULL REFERENCES ops.stages ON DELETE CASCADE,  -- of the load's first table
    key      text NOT NULL,
    number   integer NOT NULL,
    batch    json NOT NULL,  -- not jsonb: the order of its keys is the order they are asked in
    landed   json,           -- the batch with its landing_ids
    PRIMARY KEY (stage_id, key)
);
-- What the closingbell command was asked; null for Airflow's runs, whose Params Airflow keeps.
ALTER TABLE ops.stages ADD COLUMN asked json;
