-- depends: 0007_timescale
-- Which run writes a partition of a table: at most one that has not ended (see orchestration/partitions.py).
CREATE TABLE ops.partition_claims (
    table_name    text NOT NULL,
    partition_key text NOT NULL,
    dag_id        text NOT NULL,
    run_id        text NOT NULL,
    claimed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_name, partition_key)
);
