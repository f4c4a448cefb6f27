-- depends: 0001_ops
-- Every published table carries landing_id (NULL where derived) and fetched_at: lineage, never compared.
CREATE TABLE closingbell.companies (
    cik             bigint NOT NULL,
    valid_from      date NOT NULL,
    name            text NOT NULL,
    sic             integer,
    sic_description text,
    sector          text,
    sector_source   text,           -- sp500, operator, sic
    fiscal_year_end text,           -- MMDD
    state           text,
    entity_type     text,
    landing_id      bigint,
    fetched_at      timestamptz NOT NULL,
    PRIMARY KEY (cik, valid_from)
);

CREATE TABLE closingbell.securities (
    security_id    bigint PRIMARY KEY,
    cik            bigint,
    figi           text,
    name           text NOT NULL,
    share_class    text,            -- A, B, ...; NULL where a company has one class
    type           text NOT NULL,   -- CS common stock, ADRC, ETF, ...
    exchange       text,
    shares_per_base double precision NOT NULL DEFAULT 1,  -- base shares one share converts into (BRK-A: 1500)
    class_shares   double precision,  -- outstanding shares of this class where a vendor says so
    class_shares_on date,           -- the day it says so of; their split basis
    first_session  date,
    last_session   date,            -- NULL while listed
    landing_id     bigint,
    fetched_at     timestamptz NOT NULL
);
CREATE INDEX ON closingbell.securities (cik);

CREATE TABLE closingbell.ticker_history (
    ticker      text NOT NULL,
    valid_from  date NOT NULL,
    valid_to    date,               -- last day it was this security's; NULL while it is; before valid_from: never was
    security_id bigint NOT NULL,
    assumed     boolean NOT NULL DEFAULT false,  -- valid_from is not known: the earliest day stands for it
    landing_id  bigint,
    fetched_at  timestamptz NOT NULL,
    PRIMARY KEY (ticker, valid_from)
);
CREATE INDEX ON closingbell.ticker_history (security_id);

CREATE TABLE closingbell.index_members (
    index_name  text NOT NULL,      -- sp500, fortune500
    security_id bigint NOT NULL,
    valid_from  date NOT NULL,
    valid_to    date,
    rank        integer,            -- fortune500
    landing_id  bigint,
    fetched_at  timestamptz NOT NULL,
    PRIMARY KEY (index_name, security_id, valid_from)
);

-- Every filing of a company that a statement can come from, with its acceptance time.
CREATE TABLE closingbell.filings (
    accession_no text NOT NULL,
    cik          bigint NOT NULL,
    form         text NOT NULL,
    filed_on     date NOT NULL,
    known_at     timestamptz NOT NULL,
    known_at_source text NOT NULL,  -- acceptance_utc, acceptance_new_york, filed_on_22
    report_date  date,
    landing_id   bigint,
    fetched_at   timestamptz NOT NULL,
    PRIMARY KEY (accession_no, cik)
);
CREATE INDEX ON closingbell.filings (cik, known_at);
