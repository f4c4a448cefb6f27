-- depends: 0002_universe
CREATE TABLE closingbell.financial_facts (
    cik          bigint NOT NULL,
    taxonomy     text NOT NULL,
    concept      text NOT NULL,
    unit         text NOT NULL,
    period_start date,              -- NULL for an instant
    period_end   date NOT NULL,
    accession_no text NOT NULL,
    value        double precision NOT NULL,
    form         text NOT NULL,
    filed_on     date NOT NULL,
    known_at     timestamptz NOT NULL,
    landing_id   bigint,
    fetched_at   timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (cik, taxonomy, concept, unit, period_start, period_end, accession_no)
);

CREATE TABLE closingbell.financials (
    cik                  bigint NOT NULL,
    period_end           date NOT NULL,
    period_type          text NOT NULL CHECK (period_type IN ('Q', 'FY', 'TTM')),
    known_on             date NOT NULL,          -- filing day
    known_at             timestamptz NOT NULL,   -- acceptance
    period_start         date,
    fiscal_year          integer,
    fiscal_quarter       integer,                -- 1 to 4; NULL for FY
    currency             text NOT NULL,
    accession_no         text NOT NULL,          -- the filing that made this version known
    source_accession_nos text[] NOT NULL,        -- every filing a value of this row comes from
    eps_filed_on         date,                   -- the split basis of the per-share figures: as of that filing
    shares_filed_on      date,                   -- the same of shares_outstanding
    revenue double precision, cost_of_revenue double precision, gross_profit double precision,
    operating_expenses double precision, operating_income double precision, interest_expense double precision,
    net_income double precision, eps_basic double precision, eps_diluted double precision,
    shares_outstanding double precision, total_assets double precision, total_liabilities double precision,
    current_assets double precision, current_liabilities double precision, inventory double precision,
    shareholders_equity double precision, cash_and_equivalents double precision, short_term_debt double precision,
    long_term_debt double precision, operating_cash_flow double precision, investing_cash_flow double precision,
    financing_cash_flow double precision, capex double precision, free_cash_flow double precision,
    dividends_paid double precision,
    gross_margin double precision, operating_margin double precision, net_margin double precision,
    roe double precision, roa double precision, roic double precision, debt_to_equity double precision,
    current_ratio double precision, quick_ratio double precision, interest_coverage double precision,
    landing_id           bigint,
    fetched_at           timestamptz NOT NULL,
    PRIMARY KEY (cik, period_end, period_type, known_on)
);
CREATE INDEX ON closingbell.financials (known_at);
