-- What the vendors think of the articles :ids (bigint[]), known when each said so, which may be after another vendor told
-- the story: of several copies of one vendor the one that was here first.
SELECT DISTINCT ON (m.article_id, b.security_id, o.model)
       m.article_id, b.security_id, o.model, o.model_version, o.score, o.relevance, o.known_at,
       s.landing_id
FROM closingbell.news_members m
JOIN closingbell.news_sightings s USING (vendor, vendor_id)
JOIN closingbell.news_articles a USING (article_id)
CROSS JOIN LATERAL jsonb_to_recordset(s.opinions)
    AS o (ticker text, model text, model_version text, score double precision, relevance double precision,
          known_at timestamptz)
JOIN closingbell.borne_tickers AS b
  ON b.ticker = o.ticker AND b.valid_from <= CAST(a.published_at AT TIME ZONE 'America/New_York' AS date)
 AND coalesce(b.valid_to, 'infinity') >= CAST(a.published_at AT TIME ZONE 'America/New_York' AS date)
WHERE m.article_id = ANY(CAST(:ids AS bigint[]))
ORDER BY m.article_id, b.security_id, o.model, s.first_seen_at, s.vendor_id, o.ticker;
