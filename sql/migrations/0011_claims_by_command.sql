-- depends: 0008_partition_claims
-- A command's claim counts while the command holds its advisory lock; a run's while Airflow says it has not ended.
ALTER TABLE ops.partition_claims ADD COLUMN by_command boolean NOT NULL DEFAULT false;
