-- depends: 0006_roles 0010_plans_and_evidence
-- A run may fill one table twice: the second load, which marks what amendments restate, has a stage of its own.
ALTER TABLE ops.stages ADD COLUMN part text NOT NULL DEFAULT '';
ALTER TABLE ops.stages DROP CONSTRAINT stages_dag_id_run_id_table_name_key;
ALTER TABLE ops.stages ADD UNIQUE (dag_id, run_id, table_name, part);

-- One row a line of a Form 4 or 5 (and of a 3 that has one), however many owners file it. Every issuer's, of the universe
-- or not. Amended lines stay, marked with what superseded them.
CREATE TABLE closingbell.insider_trades (
    accession_no         text NOT NULL,
    is_derivative        boolean NOT NULL,    -- of the document's second table
    row_no               bigint NOT NULL,     -- from 1, apart for the two tables
    form                 text NOT NULL,       -- 3, 4, 5, each with /A or without
    issuer_cik           bigint NOT NULL,
    issuer_name          text,
    issuer_ticker        text,                -- as written
    security_id          bigint,              -- NULL: an issuer outside the universe
    owner_ciks           bigint[] NOT NULL,
    owner_names          text[] NOT NULL,
    insider_name         text,                -- the first owner named
    insider_title        text,
    is_director          boolean NOT NULL,    -- the role of any of the owners
    is_officer           boolean NOT NULL,
    is_ten_percent_owner boolean NOT NULL,
    is_other             boolean NOT NULL,
    security_title       text,
    transaction_date     date NOT NULL,
    transaction_code     text NOT NULL,       -- P and S alone are open-market trades
    transaction_type     text NOT NULL,       -- the code in words
    acquired             boolean NOT NULL,
    shares               double precision,
    price_per_share      double precision,    -- NULL: none, or only a footnote
    total_value          double precision,
    shares_owned_after   double precision,
    value_owned_after    double precision,
    direct               boolean NOT NULL,
    ownership_nature     text,
    is_10b5_1            boolean,             -- NULL before April 2023, when the box came
    price_footnotes      text,
    exercise_price       double precision,
    exercisable_on       date,
    expires_on           date,
    underlying_title     text,
    underlying_shares    double precision,
    underlying_value     double precision,
    period_of_report     date,
    filed_on             date NOT NULL,
    known_at             timestamptz NOT NULL,
    amends_filed_on      date,                -- of an amendment: the day of the original that it names
    superseded_by        text,                -- the amendment that restates this line; NULL while it stands
    superseded_at        timestamptz,         -- when that became known
    landing_id           bigint,
    fetched_at           timestamptz NOT NULL,
    PRIMARY KEY (accession_no, is_derivative, row_no)
);
CREATE INDEX ON closingbell.insider_trades (issuer_cik, known_at);
CREATE INDEX ON closingbell.insider_trades (security_id, transaction_date);
CREATE INDEX ON closingbell.insider_trades (landing_id);

-- Net open-market buying as each session knew it at its close. Values in USD, NULL where no trade has a price.
CREATE TABLE closingbell.insider_activity (
    security_id       bigint NOT NULL,
    session           date NOT NULL,
    known_at          timestamptz NOT NULL,   -- of the newest trade counted
    buys_30d          bigint NOT NULL,
    sells_30d         bigint NOT NULL,
    shares_bought_30d double precision,
    shares_sold_30d   double precision,
    net_shares_30d    double precision,
    value_bought_30d  double precision,
    value_sold_30d    double precision,
    net_value_30d     double precision,
    buyers_30d        bigint NOT NULL,
    sellers_30d       bigint NOT NULL,
    unpriced_30d      bigint NOT NULL,
    buys_90d          bigint NOT NULL,
    sells_90d         bigint NOT NULL,
    shares_bought_90d double precision,
    shares_sold_90d   double precision,
    net_shares_90d    double precision,
    value_bought_90d  double precision,
    value_sold_90d    double precision,
    net_value_90d     double precision,
    buyers_90d        bigint NOT NULL,
    sellers_90d       bigint NOT NULL,
    unpriced_90d      bigint NOT NULL,
    landing_id        bigint,
    fetched_at        timestamptz NOT NULL,
    PRIMARY KEY (security_id, session)
);
CREATE INDEX ON closingbell.insider_activity (session);
