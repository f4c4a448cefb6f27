-- depends: 0013_score_evidence
-- One row a rating as its vendor has it now; what a correction or a removal replaced is in ops.revisions.
CREATE TABLE closingbell.analyst_ratings (
    vendor              text NOT NULL,
    rating_id           text NOT NULL,
    security_id         bigint,              -- who bore the ticker on the day of the rating; NULL: nobody that is known
    ticker              text NOT NULL,
    analyst_firm        text NOT NULL,
    analyst_name        text,
    action              text,                -- initiates, upgrades, downgrades, maintains, reiterates, terminates, ...
    target_action       text,                -- announces, raises, lowers, maintains, removes, adjusts
    rating              text,                -- the firm's own word
    rating_before       text,
    rating_numeric      bigint,              -- 5 strong buy, 4 buy, 3 hold, 2 sell, 1 strong sell; NULL: none was given
    price_target        double precision,    -- as published, on the share basis of its day
    price_target_before double precision,
    currency            text NOT NULL,       -- of the targets
    rated_at            timestamptz NOT NULL,
    rated_at_source     text NOT NULL CHECK (rated_at_source IN ('time', 'date_22')),
    known_at            timestamptz NOT NULL,  -- when this version of it could be known: never before its last correction
    updated_at          timestamptz NOT NULL,  -- the vendor's last change
    removed_at          timestamptz,           -- when the vendor withdrew it; it counts until then
    url                 text,
    landing_id          bigint,
    fetched_at          timestamptz NOT NULL,
    PRIMARY KEY (vendor, rating_id)
);
CREATE INDEX ON closingbell.analyst_ratings (security_id, rated_at);
CREATE INDEX ON closingbell.analyst_ratings (rated_at);

-- Each firm's last rating of twelve months, as known at the close of `session`.
CREATE TABLE closingbell.analyst_consensus (
    security_id       bigint NOT NULL,
    session           date NOT NULL,
    firms             bigint NOT NULL,     -- with a rating that counts
    rating_mean       double precision NOT NULL,
    rating_dispersion double precision,    -- sample standard deviation; NULL under two firms
    strong_buys       bigint NOT NULL,
    buys              bigint NOT NULL,
    holds             bigint NOT NULL,
    sells             bigint NOT NULL,
    strong_sells      bigint NOT NULL,
    targets           bigint NOT NULL,     -- firms with a target in target_currency
    target_mean       double precision,    -- on the share basis of the session
    target_median     double precision,
    target_low        double precision,
    target_high       double precision,
    target_currency   text,
    last_rated_at     timestamptz NOT NULL,
    ratings_from      date NOT NULL,       -- ratings are loaded from this day on; twelve months before where whole
    landing_id        bigint,
    fetched_at        timestamptz NOT NULL,
    PRIMARY KEY (security_id, session)
);
CREATE INDEX ON closingbell.analyst_consensus (session);
