-- Articles that name a security and wait for scores: those whose copies were staged since :staged (timestamptz; null: all);
-- those that name a security of which nobody's score is here, though a vendor has one or :model scores texts (their ticker
-- was not known, or an operator left the security out); and those published since :since (timestamptz) that :model,
-- :version has not scored. :ask boolean: the model is asked over the network, whose landed answers say what it has scored;
-- not again where it failed :tries times. :all boolean: every article.
WITH unscored AS MATERIALIZED (
    SELECT a.article_id, a.url, t.ticker
    FROM closingbell.news_articles AS a
    CROSS JOIN LATERAL unnest(a.tickers) AS t (ticker)
    JOIN closingbell.borne_tickers AS b
      ON b.ticker = t.ticker AND b.valid_from <= CAST(a.published_at AT TIME ZONE 'America/New_York' AS date)
     AND coalesce(b.valid_to, 'infinity') >= CAST(a.published_at AT TIME ZONE 'America/New_York' AS date)
    WHERE NOT :all
      AND NOT EXISTS (SELECT FROM closingbell.news_sentiment AS s
                      WHERE s.article_id = a.article_id AND s.security_id = b.security_id)
      AND NOT EXISTS (SELECT FROM ops.overrides AS o
                      WHERE o.kind = 'exclude_security' AND o.ended_at IS NULL
                        AND CAST(o.subject ->> 'security_id' AS bigint) = b.security_id)
)
SELECT a.article_id
FROM closingbell.news_articles a
WHERE (:all
    OR a.article_id IN (SELECT article_id FROM closingbell.news_members
                        WHERE fetched_at >= coalesce(CAST(:staged AS timestamptz), '-infinity'))
    OR a.article_id IN (
        SELECT u.article_id FROM unscored AS u
        WHERE NOT :ask AND u.url NOT LIKE 'fnspid:%' OR EXISTS (
            SELECT FROM closingbell.news_members JOIN closingbell.news_sightings AS s USING (vendor, vendor_id)
            WHERE article_id = u.article_id
              AND s.opinions @> jsonb_build_array(jsonb_build_object('ticker', u.ticker))))
    OR a.published_at >= :since AND a.url NOT LIKE 'fnspid:%' AND (
        NOT :ask AND EXISTS (
            SELECT FROM closingbell.news_mentions n WHERE n.article_id = a.article_id AND NOT EXISTS (
                SELECT FROM closingbell.news_sentiment s
                WHERE s.article_id = n.article_id AND s.security_id = n.security_id AND s.model = :model
                  AND s.model_version = :version))
        OR :ask AND NOT EXISTS (
            SELECT FROM ops.landings l
            WHERE l.vendor = 'gemini' AND l.endpoint = 'generate_content' AND l.key = a.article_id || ':' || :version)
              AND NOT EXISTS (
            SELECT FROM ops.fetch_failures f
            WHERE f.vendor = 'gemini' AND f.endpoint = 'generate_content' AND f.key = a.article_id || ':' || :version
              AND f.resolved_at IS NULL AND f.attempts >= :tries)))
  AND EXISTS (SELECT FROM closingbell.news_mentions n WHERE n.article_id = a.article_id)
ORDER BY a.published_at, a.article_id;
