-- depends:
CREATE SCHEMA IF NOT EXISTS closingbell;
CREATE SCHEMA IF NOT EXISTS ops;
CREATE SCHEMA IF NOT EXISTS staging;

-- One row a raw answer, as the vendor sent it. `answered_at` is the vendor's own clock (HTTP Date).
CREATE TABLE ops.landings (
    landing_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vendor       text NOT NULL,
    endpoint     text NOT NULL,
    key          text NOT NULL,
    request      jsonb NOT NULL,
    path         text NOT NULL,
    sha256       text NOT NULL,
    bytes        bigint NOT NULL,
    content_type text,
    answered_at  timestamptz NOT NULL,
    fetched_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ops.landings (vendor, endpoint, key, landing_id DESC);
CREATE INDEX ON ops.landings (fetched_at);

CREATE TABLE ops.stages (
    stage_id      text PRIMARY KEY,
    dag_id        text NOT NULL,
    run_id        text NOT NULL,
    table_name    text NOT NULL,
    partition_key text NOT NULL,
    expected      jsonb NOT NULL DEFAULT '{}',
    status        text NOT NULL CHECK (status IN ('open', 'audited', 'failed', 'published', 'abandoned')),
    opened_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    audited_at    timestamptz,
    published_at  timestamptz,
    round         integer NOT NULL DEFAULT 1,  -- a run that is cleared and opened again is the next round of its stage
    UNIQUE (dag_id, run_id, table_name)
);

CREATE TABLE ops.stage_batches (
    stage_id      text NOT NULL REFERENCES ops.stages ON DELETE CASCADE,
    batch_id      text NOT NULL,
    rows          bigint NOT NULL,
    inputs_sha256 text NOT NULL,
    quarantined   bigint NOT NULL DEFAULT 0,
    duplicates    bigint NOT NULL DEFAULT 0,  -- dropped: the same row again, or one of an earlier landing
    landing_ids   bigint[] NOT NULL DEFAULT '{}',
    staged_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stage_id, batch_id)
);

CREATE TABLE ops.load_ledger (
    ledger_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stage_id         text NOT NULL,
    round            integer NOT NULL,
    dataset          text NOT NULL,
    partition_key    text NOT NULL,
    content_sha256   text NOT NULL,
    parser_version   text NOT NULL,
    rows_in          bigint NOT NULL,
    rows_inserted    bigint NOT NULL,
    rows_updated     bigint NOT NULL,
    rows_deleted     bigint NOT NULL DEFAULT 0,
    rows_unchanged   bigint NOT NULL,
    rows_older       bigint NOT NULL DEFAULT 0,
    rows_duplicate   bigint NOT NULL DEFAULT 0,
    rows_quarantined bigint NOT NULL,
    dag_id           text NOT NULL,
    run_id           text NOT NULL,
    loaded_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (stage_id, round),
    CHECK (rows_in = rows_inserted + rows_updated + rows_unchanged + rows_older + rows_duplicate + rows_quarantined)
);
CREATE INDEX ON ops.load_ledger (dataset, loaded_at DESC);
CREATE INDEX ON ops.load_ledger (dag_id, run_id);

CREATE TABLE ops.audit_results (
    stage_id    text NOT NULL,
    expectation text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('critical', 'warning', 'info')),
    passed      boolean NOT NULL,
    observed    jsonb NOT NULL DEFAULT '{}',
    audited_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stage_id, expectation)
);

-- Rows that a rule or a conflicting key kept out of a table, whole, with the rule's name.
CREATE TABLE ops.quarantine (
    quarantine_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stage_id       text NOT NULL,
    table_name     text NOT NULL,
    batch_id       text,
    rule           text NOT NULL,
    landing_id     bigint,
    content        jsonb NOT NULL,
    quarantined_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ops.quarantine (stage_id);
CREATE INDEX ON ops.quarantine (table_name, quarantined_at);

-- Which answers a table has seen: an answer older than a published one to the same question changes no row.
CREATE TABLE ops.published_landings (
    table_name   text NOT NULL,
    landing_id   bigint NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_name, landing_id)
);

-- What could not be fetched or parsed; the next run tries every row with resolved_at IS NULL again.
CREATE TABLE ops.fetch_failures (
    vendor       text NOT NULL,
    endpoint     text NOT NULL,
    key          text NOT NULL,
    error        text NOT NULL,
    attempts     integer NOT NULL DEFAULT 1,
    dag_id       text NOT NULL,
    run_id       text NOT NULL,
    failed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at  timestamptz,
    PRIMARY KEY (vendor, endpoint, key)
);

-- The old version of every row that a publish changed or removed.
CREATE TABLE ops.revisions (
    revision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stage_id    text NOT NULL,
    table_name  text NOT NULL,
    key         jsonb NOT NULL,
    old_row     jsonb NOT NULL,
    reason      text NOT NULL DEFAULT 'changed',
    revised_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ops.revisions (table_name, revised_at);
CREATE INDEX ON ops.revisions (stage_id);

-- GCRA state of one vendor and key: `tat` is the theoretical arrival time of the next request.
CREATE TABLE ops.vendor_quota (
    vendor       text NOT NULL,
    key          text NOT NULL,
    tat          timestamptz NOT NULL DEFAULT '-infinity',
    per_second   double precision NOT NULL,
    burst        double precision NOT NULL DEFAULT 1,
    day          date,
    day_zone     text NOT NULL DEFAULT 'UTC',
    day_limit    bigint,
    day_used     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (vendor, key)
);

-- An operator's audited corrections. They are applied at publish and at replay, and never deleted, only ended.
CREATE TABLE ops.overrides (
    override_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('exclude_security', 'map_ticker', 'map_cusip', 'reject_bar')),
    subject     jsonb NOT NULL,
    reason      text NOT NULL,
    author      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz,
    ended_by    text
);
