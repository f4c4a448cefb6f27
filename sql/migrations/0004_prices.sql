-- depends: 0002_universe
CREATE TABLE closingbell.stock_prices (
    security_id    bigint NOT NULL,
    session        date NOT NULL,
    open           double precision NOT NULL,
    high           double precision NOT NULL,
    low            double precision NOT NULL,
    close          double precision NOT NULL,
    volume         double precision NOT NULL,    -- shares; vendors send fractions from 2026
    vwap           double precision,
    trades         bigint,
    source         text NOT NULL,
    final          boolean NOT NULL,             -- false while the vendor may still correct it
    adjusted_as_of date,                         -- NULL: unadjusted, as traded
    landing_id     bigint,
    fetched_at     timestamptz NOT NULL,
    PRIMARY KEY (security_id, session)
);
CREATE INDEX ON closingbell.stock_prices (session);

CREATE TABLE closingbell.corporate_actions (
    security_id bigint NOT NULL,
    ex_date     date NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('split', 'dividend')),
    numerator   double precision,   -- split: new shares for `denominator` old ones
    denominator double precision,
    amount      double precision,   -- dividend, cash a share on the basis of ex_date
    currency    text,
    known_at    timestamptz NOT NULL,  -- declaration where the vendor gives it, else the close before ex_date
    source      text NOT NULL,
    landing_id  bigint,
    fetched_at  timestamptz NOT NULL,
    PRIMARY KEY (security_id, ex_date, kind)
);

-- A pure function of the security's last 400 bars up to the session, adjusted to the session's split basis.
CREATE TABLE closingbell.technical_indicators (
    security_id bigint NOT NULL,
    session     date NOT NULL,
    close double precision, rsi_14 double precision, macd double precision, macd_signal double precision,
    macd_histogram double precision, sma_20 double precision, sma_50 double precision, sma_200 double precision,
    ema_12 double precision, ema_26 double precision, bollinger_upper double precision,
    bollinger_middle double precision, bollinger_lower double precision, atr_14 double precision,
    adx_14 double precision, stochastic_k double precision, stochastic_d double precision, roc_10 double precision,
    obv double precision, volume_sma_20 double precision, volatility_20 double precision,
    return_1m double precision, return_3m double precision, return_6m double precision, return_12m double precision,
    bars        integer NOT NULL,   -- bars the row was computed from, 400 at most
    landing_id  bigint,
    fetched_at  timestamptz NOT NULL,
    PRIMARY KEY (security_id, session)
);
CREATE INDEX ON closingbell.technical_indicators (session);

CREATE TABLE closingbell.valuation_ratios (
    security_id        bigint NOT NULL,
    session            date NOT NULL,
    close              double precision NOT NULL,
    shares_outstanding double precision,   -- of the company, all classes, on the session's split basis
    market_cap         double precision,   -- all share classes
    pe_ratio           double precision,   -- market_cap / TTM net income; NULL where that is not positive
    pb_ratio           double precision,
    ps_ratio           double precision,
    earnings_yield     double precision,   -- TTM net income / market_cap, negative included
    book_yield         double precision,
    sales_yield        double precision,
    statement_period_end date,             -- the TTM row used
    statement_known_on   date,
    landing_id         bigint,
    fetched_at         timestamptz NOT NULL,
    PRIMARY KEY (security_id, session)
);
CREATE INDEX ON closingbell.valuation_ratios (session);
