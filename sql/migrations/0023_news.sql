-- depends: 0013_score_evidence
-- What was read of each stream of news, as windows of time: of every batch that was read to its end and published.
CREATE VIEW ops.news_read AS
SELECT stream, range_agg(tstzrange(CAST(span ->> 0 AS timestamptz), CAST(span ->> 1 AS timestamptz), '[]')) AS windows
FROM ops.stages
JOIN ops.planned_batches USING (stage_id)
CROSS JOIN LATERAL json_each(landed -> 'read') AS r (stream, span)
WHERE table_name = 'news_sightings' AND status = 'published' AND opened_at > clock_timestamp() - interval '1 year'
GROUP BY stream;

-- One vendor's copy of a story, as it came first. What the vendor thinks of it stands beside it.
CREATE TABLE closingbell.news_sightings (
    vendor        text NOT NULL,         -- polygon, marketaux, tiingo, web, fnspid
    vendor_id     text NOT NULL,
    url           text NOT NULL,         -- canonical: https, no tracking parameters
    title         text NOT NULL,
    summary       text,
    source        text,                  -- the publisher
    published_at  timestamptz NOT NULL,
    seen_at       timestamptz,           -- when the vendor found it, where it says so
    tickers       text[] NOT NULL,
    opinions      jsonb NOT NULL,        -- [{ticker, model, model_version, score, relevance, reason, known_at}]
    first_seen_at timestamptz NOT NULL,  -- when it was first landed here
    landing_id    bigint,
    fetched_at    timestamptz NOT NULL,
    PRIMARY KEY (vendor, vendor_id)
);
CREATE INDEX ON closingbell.news_sightings (published_at);
CREATE INDEX ON closingbell.news_sightings USING hash (url);

-- Which story each copy tells.
CREATE TABLE closingbell.news_members (
    vendor     text NOT NULL,
    vendor_id  text NOT NULL,
    article_id bigint NOT NULL,
    read_at    timestamptz NOT NULL,     -- fetched_at of the copy that was read
    landing_id bigint,
    fetched_at timestamptz NOT NULL,
    PRIMARY KEY (vendor, vendor_id)
);
CREATE INDEX ON closingbell.news_members (article_id);
CREATE INDEX ON closingbell.news_members (fetched_at);

-- One story, however many brought it. Its id is made of the copy that was landed first, and stays.
CREATE TABLE closingbell.news_articles (
    article_id   bigint NOT NULL PRIMARY KEY,
    title        text NOT NULL,
    summary      text,
    source       text,
    url          text NOT NULL,
    published_at timestamptz NOT NULL,   -- the earliest: publication is when it became known
    told_at      timestamptz NOT NULL,   -- when title and summary were published: later where they are a later copy's
    sources      text[] NOT NULL,
    vendors      text[] NOT NULL,
    tickers      text[] NOT NULL,
    landing_id   bigint,
    fetched_at   timestamptz NOT NULL
);
CREATE INDEX ON closingbell.news_articles (published_at);

-- Which securities a story names, by who bore the ticker on the New York day of its publication.
CREATE VIEW closingbell.news_mentions AS
SELECT a.article_id, a.published_at, b.security_id, min(t.ticker) AS ticker
FROM closingbell.news_articles AS a
CROSS JOIN LATERAL unnest(a.tickers) AS t (ticker)
JOIN closingbell.borne_tickers AS b
  ON b.ticker = t.ticker AND b.valid_from <= CAST(a.published_at AT TIME ZONE 'America/New_York' AS date)
 AND coalesce(b.valid_to, 'infinity') >= CAST(a.published_at AT TIME ZONE 'America/New_York' AS date)
GROUP BY a.article_id, a.published_at, b.security_id;

CREATE TABLE closingbell.news_sentiment (
    article_id    bigint NOT NULL,
    security_id   bigint NOT NULL,
    model         text NOT NULL,              -- who scored: a vendor, finbert, gemini, lexicon
    model_version text NOT NULL,
    score         double precision NOT NULL,  -- -1 to 1
    relevance     double precision,           -- 0 to 1; NULL where the model says none, which counts as 1
    impact        double precision,           -- 0 to 1
    known_at      timestamptz NOT NULL,       -- publication of what was scored
    landing_id    bigint,                     -- the answer that holds it; NULL where it was computed here
    fetched_at    timestamptz NOT NULL,
    PRIMARY KEY (article_id, security_id, model)
);
CREATE INDEX ON closingbell.news_sentiment (known_at);
CREATE INDEX ON closingbell.news_sentiment (fetched_at);

CREATE TABLE closingbell.sentiment_daily (
    security_id       bigint NOT NULL,
    session           date NOT NULL,
    sentiment_7d      double precision,       -- -1 to 1: the sources' means by their weights
    sentiment_30d     double precision,
    articles_7d       bigint NOT NULL,
    articles_30d      bigint NOT NULL,
    last_published_at timestamptz NOT NULL,
    hours_since       double precision NOT NULL,  -- of the newest article, at the close
    by_source         jsonb NOT NULL,         -- {source: weight, means, counts, shares}; shares add up to the whole
    known_at          timestamptz NOT NULL,   -- close of the session: nothing later entered
    landing_id        bigint,
    fetched_at        timestamptz NOT NULL,
    PRIMARY KEY (security_id, session)
);
CREATE INDEX ON closingbell.sentiment_daily (session);
