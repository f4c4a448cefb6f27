-- depends: 0004_prices 0003_fundamentals
CREATE TABLE closingbell.ic_scores (
    security_id       bigint NOT NULL,
    session           date NOT NULL,
    overall_score     double precision NOT NULL CHECK (overall_score BETWEEN 1 AND 100),
    rating            text NOT NULL,
    value double precision, growth double precision, profitability double precision,
    financial_health double precision, momentum double precision, analyst_consensus double precision,
    insider_activity double precision, institutional double precision, news_sentiment double precision,
    technical double precision,
    sector            text,             -- as known on the session
    sector_assumed    boolean NOT NULL, -- the earliest known value stands for one before it
    sector_rank       integer,          -- 1 is best
    sector_size       integer,
    sector_percentile double precision,
    data_completeness double precision NOT NULL,  -- weight present, 0 to 1
    confidence        text NOT NULL,    -- High, Medium, Low
    known_at          timestamptz NOT NULL,       -- close of the session: nothing later entered
    landing_id        bigint,
    fetched_at        timestamptz NOT NULL,
    PRIMARY KEY (security_id, session)
);
CREATE INDEX ON closingbell.ic_scores (session, overall_score DESC);

CREATE TABLE closingbell.score_inputs (
    security_id bigint NOT NULL,
    session     date NOT NULL,
    inputs      jsonb NOT NULL,   -- {metric: [raw, peer group, n, percentile, source key]}; keys: scores/compute.py
    landing_id  bigint,
    fetched_at  timestamptz NOT NULL,
    PRIMARY KEY (security_id, session)
);
CREATE INDEX ON closingbell.score_inputs (session);

CREATE VIEW closingbell.score_inputs_by_metric AS
SELECT s.security_id, s.session, m.key AS metric,
       (m.value ->> 0)::double precision AS raw, m.value ->> 1 AS peer_group,
       (m.value ->> 2)::integer AS n, (m.value ->> 3)::double precision AS percentile, m.value -> 4 AS source_key
FROM closingbell.score_inputs s CROSS JOIN LATERAL jsonb_each(s.inputs) AS m;
