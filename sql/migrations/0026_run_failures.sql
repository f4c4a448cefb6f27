-- depends: 0025_balance_evidence
-- What each run could not fetch or parse: fetch_failures has one row a key, of the run that failed at it last.
CREATE TABLE ops.run_failures (
    dag_id      text NOT NULL,
    run_id      text NOT NULL,
    vendor      text NOT NULL,
    endpoint    text NOT NULL,
    key         text NOT NULL,
    error       text NOT NULL,
    attempts    integer NOT NULL DEFAULT 1,  -- of this run
    failed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,  -- by whichever run
    PRIMARY KEY (dag_id, run_id, vendor, endpoint, key)
);
CREATE INDEX ON ops.run_failures (vendor, endpoint, key) WHERE resolved_at IS NULL;
INSERT INTO ops.run_failures (dag_id, run_id, vendor, endpoint, key, error, attempts, failed_at, resolved_at)
SELECT dag_id, run_id, vendor, endpoint, key, error, attempts, failed_at, resolved_at FROM ops.fetch_failures;
