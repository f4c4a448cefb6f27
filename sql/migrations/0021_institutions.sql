-- depends: 0013_score_evidence
-- Which security a CUSIP stood for from a day on, as the SEC's fails-to-deliver files name it by its ticker.
CREATE TABLE closingbell.cusip_history (
    cusip       text NOT NULL,
    valid_from  date NOT NULL,      -- first day the file has it under this ticker
    ticker      text NOT NULL,
    security_id bigint,             -- NULL: a ticker that is none of ours
    landing_id  bigint,
    fetched_at  timestamptz NOT NULL,
    PRIMARY KEY (cusip, valid_from)
);

-- From its first day on an operator's map_cusip override stands in place of what the files say, up to the next one.
CREATE VIEW closingbell.mapped_cusips AS
WITH mapped AS (
    SELECT DISTINCT ON (cusip, valid_from) cusip, valid_from, security_id
    FROM (SELECT subject ->> 'cusip' AS cusip, CAST(subject ->> 'valid_from' AS date) AS valid_from,
                 CAST(subject ->> 'security_id' AS bigint) AS security_id, override_id
          FROM ops.overrides WHERE kind = 'map_cusip' AND ended_at IS NULL) AS o
    ORDER BY cusip, valid_from, override_id DESC
)
SELECT h.cusip, h.valid_from, h.ticker, h.security_id
FROM closingbell.cusip_history AS h
LEFT JOIN (SELECT cusip, min(valid_from) AS first_day FROM mapped GROUP BY cusip) AS m USING (cusip)
WHERE m.first_day IS NULL OR h.valid_from < m.first_day
UNION ALL
SELECT cusip, valid_from, NULL, security_id FROM mapped;

-- One row a 13F filing: what its cover and summary page say, and what its lines add up to.
CREATE TABLE closingbell.institutional_filings (
    accession_no         text NOT NULL PRIMARY KEY,
    form                 text NOT NULL,               -- 13F-HR, 13F-NT (holds nothing), and /A of them
    report_type          text,
    institution_cik      bigint NOT NULL,
    institution_name     text,
    file_number          text,                        -- 028-01234
    quarter              date NOT NULL,               -- its last day
    filed_on             date NOT NULL,
    known_at             timestamptz NOT NULL,        -- acceptance, else 22:00 New York on filed_on
    amendment_no         bigint,
    amendment_type       text,                        -- RESTATEMENT replaces, NEW HOLDINGS adds
    entry_total          bigint,                      -- as declared on the summary page
    value_total          double precision,            -- the same, in the filing's own unit
    confidential_omitted boolean,
    rows                 bigint NOT NULL,             -- lines of the information table
    reported_total       double precision NOT NULL,   -- of its lines, in the filing's own unit
    value_unit           double precision NOT NULL,   -- dollars in one unit of its values: 1 or 1000
    unit_source          text NOT NULL,               -- price: the market's closes say so; date: the SEC's rule does
    reconciled           boolean,                     -- lines and total are what the summary page declares
    problems             text[] NOT NULL,             -- what does not add up, by name
    managers             jsonb NOT NULL,              -- included: reported for here, by `sequence`; else reports for it
    landing_id           bigint,
    fetched_at           timestamptz NOT NULL
);
CREATE INDEX ON closingbell.institutional_filings (quarter, known_at);

CREATE TABLE closingbell.institutional_holdings (
    accession_no     text NOT NULL,
    row_no           integer NOT NULL,     -- the line's place in the information table
    institution_cik  bigint NOT NULL,
    institution_name text,
    quarter          date NOT NULL,
    filed_on         date NOT NULL,
    known_at         timestamptz NOT NULL,
    cusip            text NOT NULL,
    security_id      bigint,               -- NULL: the CUSIP has no security of ours
    issuer_name      text,
    class_title      text,
    put_call         text,                 -- put, call: an option on the shares named; NULL: the security itself
    discretion       text,                 -- SOLE, DFND, OTR
    other_managers   text,                 -- numbers of institutional_filings.managers
    shares           double precision,
    principal        double precision,     -- of bonds
    market_value     double precision,     -- US dollars
    landing_id       bigint,
    fetched_at       timestamptz NOT NULL,
    PRIMARY KEY (accession_no, row_no)
);
CREATE INDEX ON closingbell.institutional_holdings (security_id, quarter) WHERE security_id IS NOT NULL;

-- What the close of a session knew of who owns a security at a quarter's end; a row where that changed.
CREATE TABLE closingbell.institutional_ownership (
    security_id         bigint NOT NULL,
    session             date NOT NULL,
    quarter             date NOT NULL,
    known_at            timestamptz NOT NULL,          -- of the newest filing counted
    holders             bigint NOT NULL,
    shares              double precision NOT NULL,
    market_value        double precision NOT NULL,
    share_owned         double precision,              -- of the class's shares where they were known, else the company's
    put_shares          double precision NOT NULL,
    call_shares         double precision NOT NULL,
    filers              bigint NOT NULL,               -- institutions whose report of the quarter was known
    compared_shares     double precision,              -- from here on: institutions that reported both quarters
    shares_before       double precision,
    change              double precision,
    new_positions       bigint,
    closed_positions    bigint,
    increased_positions bigint,
    decreased_positions bigint,
    landing_id          bigint,
    fetched_at          timestamptz NOT NULL,
    PRIMARY KEY (security_id, session, quarter)
);
CREATE INDEX ON closingbell.institutional_ownership (session);
