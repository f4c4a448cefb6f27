-- depends: 0029_late_tickers
CREATE INDEX ON closingbell.news_sentiment (security_id, known_at);
CREATE INDEX ON closingbell.filings (cik, known_at) WHERE form ~ '^(10-K|20-F|40-F|10-Q|6-K)';  -- as score_universe.sql asks

CREATE INDEX ON ops.revisions ((key ->> 'rating_id')) WHERE table_name = 'analyst_ratings';
CREATE INDEX ON ops.revisions ((old_row ->> 'security_id')) WHERE table_name = 'analyst_ratings';

-- Every version of the ratings: the rows, and what they were before a correction. The larger `version` of two that were known
-- at one moment is the later one. A version from before its security was known is of the one it is by now.
CREATE VIEW ops.rating_versions AS
SELECT vendor, rating_id, security_id, analyst_firm, analyst_name, action, target_action, rating, rating_before, rating_numeric,
       price_target, price_target_before, currency, rated_at, known_at, removed_at, url, landing_id,
       9223372036854775807 AS version
FROM closingbell.analyst_ratings
UNION ALL
SELECT t.vendor, t.rating_id, coalesce(o.security_id, t.security_id), o.analyst_firm, o.analyst_name, o.action, o.target_action,
       o.rating, o.rating_before, o.rating_numeric, o.price_target, o.price_target_before, o.currency, o.rated_at, o.known_at,
       o.removed_at, o.url, o.landing_id, r.revision_id
FROM ops.revisions AS r
JOIN closingbell.analyst_ratings AS t ON t.vendor = r.key ->> 'vendor' AND t.rating_id = r.key ->> 'rating_id'
CROSS JOIN LATERAL jsonb_populate_record(NULL::closingbell.analyst_ratings, r.old_row) AS o
WHERE r.table_name = 'analyst_ratings';

-- The ratings of a security as a moment knew them: the newest version of each, also of one that was withdrawn.
CREATE FUNCTION closingbell.ratings_known(security bigint, moment timestamptz)
RETURNS SETOF ops.rating_versions
LANGUAGE sql STABLE PARALLEL SAFE AS $ratings$
    SELECT v.*
    FROM (
        SELECT vendor, rating_id FROM closingbell.analyst_ratings WHERE security_id = security
        UNION
        SELECT key ->> 'vendor', key ->> 'rating_id' FROM ops.revisions
        WHERE table_name = 'analyst_ratings' AND old_row ->> 'security_id' = CAST(security AS text)
    ) AS i
    CROSS JOIN LATERAL (
        SELECT * FROM ops.rating_versions AS o
        WHERE o.vendor = i.vendor AND o.rating_id = i.rating_id AND o.known_at <= moment
        ORDER BY o.known_at DESC, o.version DESC LIMIT 1
    ) AS v
    WHERE v.security_id = security
$ratings$;

-- A story as a moment knew it, one row: as the copy told it that was landed first of those published by then; the address
-- alone where there is none. news_articles has the words of the copy that was landed first, which may be a later one.
CREATE FUNCTION closingbell.article_told(article bigint, moment timestamptz)
RETURNS TABLE (title text, url text, source text, vendors text[])
LANGUAGE sql STABLE PARALLEL SAFE AS $article$
    SELECT coalesce(s.title, CASE WHEN a.told_at <= moment THEN a.title END, a.url), coalesce(s.url, a.url),
           CASE WHEN s.title IS NULL THEN a.source ELSE s.source END, coalesce(s.vendors, a.vendors)
    FROM closingbell.news_articles AS a
    CROSS JOIN LATERAL (
        SELECT (array_agg(c.title ORDER BY c.first_seen_at, c.vendor, c.vendor_id))[1] AS title,
               (array_agg(c.url ORDER BY c.first_seen_at, c.vendor, c.vendor_id))[1] AS url,
               (array_agg(c.source ORDER BY c.first_seen_at, c.vendor, c.vendor_id))[1] AS source,
               array_agg(DISTINCT c.vendor) AS vendors
        FROM closingbell.news_members AS m
        JOIN closingbell.news_sightings AS c USING (vendor, vendor_id)
        WHERE m.article_id = article AND c.published_at <= moment
    ) AS s
    WHERE a.article_id = article
$article$;

-- What the source row of a metric (scores/compute.py names its keys) was made of, as far as it was known then: a row each
-- filing, rating, article and bar. A row of an older session that still stood knew what its own day knew.
CREATE FUNCTION closingbell.evidence_of(source_key jsonb, scored date, closed_at timestamptz)
RETURNS TABLE (kind text, key text, known_at timestamptz, landing_id bigint, url text)
LANGUAGE sql STABLE PARALLEL SAFE AS $evidence$
    SELECT 'filing', coalesce(a.accession_no, f.accession_no), coalesce(g.known_at, own.known_at, f.known_at), f.landing_id, NULL
    FROM closingbell.financials AS f
    LEFT JOIN LATERAL unnest(f.source_accession_nos) AS a (accession_no) ON true
    LEFT JOIN closingbell.filings AS g ON g.accession_no = a.accession_no AND g.cik = f.cik
    LEFT JOIN LATERAL (  -- of a filing that no list has: when its own figures were known
        SELECT min(o.known_at) AS known_at FROM closingbell.financials AS o
        WHERE g.accession_no IS NULL AND o.cik = f.cik AND o.accession_no = a.accession_no
    ) AS own ON true
    WHERE source_key ->> 0 = 'financials' AND f.cik = CAST(source_key ->> 1 AS bigint)
      AND ((f.period_end, f.period_type, f.known_on)
               = (CAST(source_key ->> 2 AS date), source_key ->> 3, CAST(source_key ->> 4 AS date))
           OR (f.period_end, f.period_type, f.known_on)  -- growth: the row years before
               = (CAST(source_key ->> 5 AS date), source_key ->> 6, CAST(source_key ->> 7 AS date)))
    UNION ALL
    SELECT 'filing', coalesce(a.accession_no, f.accession_no), coalesce(g.known_at, own.known_at, f.known_at), f.landing_id, NULL
    FROM closingbell.valuation_ratios AS v
    JOIN closingbell.securities AS c USING (security_id)
    JOIN closingbell.financials AS f  -- the twelve months, and the balance
      ON f.cik = c.cik AND f.period_end = v.statement_period_end AND f.known_on = v.statement_known_on
    LEFT JOIN LATERAL unnest(f.source_accession_nos) AS a (accession_no) ON true
    LEFT JOIN closingbell.filings AS g ON g.accession_no = a.accession_no AND g.cik = f.cik
    LEFT JOIN LATERAL (  -- of a filing that no list has: when its own figures were known
        SELECT min(o.known_at) AS known_at FROM closingbell.financials AS o
        WHERE g.accession_no IS NULL AND o.cik = f.cik AND o.accession_no = a.accession_no
    ) AS own ON true
    WHERE source_key ->> 0 = 'valuation_ratios' AND v.security_id = CAST(source_key ->> 1 AS bigint) AND v.session = scored
    UNION ALL
    SELECT 'bar', CAST(p.session AS text), closed_at, p.landing_id, NULL
    FROM closingbell.stock_prices AS p
    WHERE source_key ->> 0 IN ('valuation_ratios', 'technical_indicators', 'analyst_consensus')  -- its target to the price
      AND p.security_id = CAST(source_key ->> 1 AS bigint) AND p.session = scored
    UNION ALL
    SELECT 'filing', t.accession_no, t.known_at, t.landing_id, NULL
    FROM closingbell.insider_activity AS i
    JOIN closingbell.insider_trades AS t
      ON t.security_id = i.security_id AND NOT t.is_derivative AND t.transaction_code IN ('P', 'S')
     AND t.transaction_date > i.session - 90 AND t.transaction_date <= i.session AND t.known_at <= i.known_at
     AND (t.superseded_at IS NULL
          OR t.superseded_at > least(closed_at, CAST(i.session + 1 AS timestamp) AT TIME ZONE 'America/New_York'))
    WHERE source_key ->> 0 = 'insider_activity' AND i.security_id = CAST(source_key ->> 1 AS bigint)
      AND i.session = CAST(source_key ->> 2 AS date)
    UNION ALL
    SELECT 'filing', h.accession_no, h.known_at, h.landing_id, NULL
    FROM closingbell.institutional_holdings AS h
    WHERE source_key ->> 0 = 'institutional_ownership' AND h.security_id = CAST(source_key ->> 1 AS bigint)
      AND h.put_call IS NULL
      AND h.known_at <= least(closed_at, CAST(CAST(source_key ->> 2 AS date) + 1 AS timestamp) AT TIME ZONE 'America/New_York')
      AND h.quarter IN (  -- and the quarter before, which the change is from
          CASE WHEN source_key ->> 0 = 'institutional_ownership' THEN CAST(source_key ->> 3 AS date) END,
          CASE WHEN source_key ->> 0 = 'institutional_ownership'
               THEN CAST(date_trunc('quarter', CAST(source_key ->> 3 AS timestamp)) AS date) - 1 END)
    UNION ALL
    SELECT 'rating', r.vendor || ':' || r.rating_id, r.known_at, r.landing_id, r.url
    FROM (
        SELECT least(closed_at, CAST(CAST(source_key ->> 2 AS date) + 1 AS timestamp) AT TIME ZONE 'America/New_York') AS moment
    ) AS k
    CROSS JOIN LATERAL closingbell.ratings_known(CAST(source_key ->> 1 AS bigint), k.moment) AS r
    WHERE source_key ->> 0 = 'analyst_consensus' AND r.rated_at > k.moment - interval '1 year' AND r.rated_at <= k.moment
      AND (r.removed_at IS NULL OR r.removed_at > k.moment)
    UNION ALL
    SELECT 'article', CAST(n.article_id AS text), n.known_at, n.landing_id, a.url
    FROM closingbell.sentiment_daily AS d
    JOIN closingbell.news_sentiment AS n
      ON n.security_id = d.security_id AND n.known_at > d.known_at - interval '30 days' AND n.known_at <= d.known_at
    LEFT JOIN closingbell.news_articles AS a USING (article_id)
    WHERE source_key ->> 0 = 'sentiment_daily' AND d.security_id = CAST(source_key ->> 1 AS bigint)
      AND d.session = CAST(source_key ->> 2 AS date)
$evidence$;

-- A row each piece of evidence of a metric, with the raw answer that brought it.
CREATE VIEW closingbell.score_evidence AS
SELECT DISTINCT s.security_id, s.session, m.key AS metric, e.kind, e.key, e.known_at, e.url, e.landing_id,
       l.sha256 AS answer_sha256
FROM closingbell.score_inputs AS s
JOIN closingbell.ic_scores AS i USING (security_id, session)
CROSS JOIN LATERAL jsonb_each(s.inputs) AS m
CROSS JOIN LATERAL closingbell.evidence_of(m.value -> 4, s.session, i.known_at) AS e
LEFT JOIN ops.landings AS l ON l.landing_id = e.landing_id;

-- Each metric of a score with what it stands on; known_at: of the newest filing, rating or article.
CREATE OR REPLACE VIEW closingbell.score_inputs_by_metric AS
SELECT s.security_id, s.session, m.key AS metric,
       (m.value ->> 0)::double precision AS raw, m.value ->> 1 AS peer_group,
       (m.value ->> 2)::integer AS n, (m.value ->> 3)::double precision AS percentile, m.value -> 4 AS source_key,
       e.accession_nos, e.known_at, e.landing_ids, e.answers_sha256, e.articles, e.ratings
FROM closingbell.score_inputs AS s
LEFT JOIN closingbell.ic_scores AS i USING (security_id, session)
CROSS JOIN LATERAL jsonb_each(s.inputs) AS m
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT u.key) FILTER (WHERE u.kind = 'filing') AS accession_nos,
           max(u.known_at) FILTER (WHERE u.kind <> 'bar') AS known_at,
           array_agg(DISTINCT u.landing_id) FILTER (WHERE u.landing_id IS NOT NULL) AS landing_ids,
           array_agg(DISTINCT l.sha256) FILTER (WHERE l.sha256 IS NOT NULL) AS answers_sha256,
           array_agg(DISTINCT CAST(u.key AS bigint)) FILTER (WHERE u.kind = 'article') AS articles,
           array_agg(DISTINCT u.key) FILTER (WHERE u.kind = 'rating') AS ratings
    FROM closingbell.evidence_of(m.value -> 4, s.session, i.known_at) AS u
    LEFT JOIN ops.landings AS l USING (landing_id)
) AS e;
