-- depends: 0028_inferred_types
-- A ticker that a later answer adds to a story, or that a later copy names, counts from that answer or copy.
ALTER TABLE closingbell.news_sightings ADD COLUMN late_tickers jsonb;  -- {ticker: when the answer that added it came}

CREATE OR REPLACE VIEW closingbell.news_mentions AS
SELECT a.article_id, a.published_at, b.security_id, min(t.ticker) AS ticker,
       greatest(a.told_at, min(coalesce(CAST(s.late_tickers ->> t.ticker AS timestamptz), s.published_at))) AS known_at
FROM closingbell.news_articles AS a
JOIN closingbell.news_members AS m USING (article_id)
JOIN closingbell.news_sightings AS s USING (vendor, vendor_id)
CROSS JOIN LATERAL unnest(s.tickers) AS t (ticker)
JOIN closingbell.borne_tickers AS b
  ON b.ticker = t.ticker AND b.valid_from <= CAST(a.published_at AT TIME ZONE 'America/New_York' AS date)
 AND coalesce(b.valid_to, 'infinity') >= CAST(a.published_at AT TIME ZONE 'America/New_York' AS date)
GROUP BY a.article_id, a.published_at, a.told_at, b.security_id;
