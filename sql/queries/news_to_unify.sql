-- Copies that no article has yet, or that were fetched again with other words; those published within two days of one
-- or with its address; and every other copy of the same articles. :all boolean: every copy there is.
WITH new AS MATERIALIZED (
    SELECT s.vendor, s.vendor_id, s.url, date_trunc('hour', s.published_at) AS hour
    FROM closingbell.news_sightings s LEFT JOIN closingbell.news_members m USING (vendor, vendor_id)
    WHERE :all OR m.article_id IS NULL OR s.fetched_at > m.read_at
), hours AS MATERIALIZED (
    SELECT DISTINCT n.hour + make_interval(hours => h) AS hour
    FROM (SELECT DISTINCT hour FROM new) AS n CROSS JOIN generate_series(-49, 49) AS h
), span AS (
    SELECT min(hour) AS first, max(hour) + interval '1 hour' AS last FROM hours
), near AS MATERIALIZED (
    SELECT s.vendor, s.vendor_id, m.article_id
    FROM closingbell.news_sightings s
    JOIN span ON s.published_at >= span.first AND s.published_at < span.last
    JOIN hours ON hours.hour = date_trunc('hour', s.published_at)
    LEFT JOIN closingbell.news_members m USING (vendor, vendor_id)
    UNION
    SELECT s.vendor, s.vendor_id, m.article_id
    FROM closingbell.news_sightings s JOIN (SELECT DISTINCT url FROM new) AS n USING (url)
    LEFT JOIN closingbell.news_members m USING (vendor, vendor_id)
)
SELECT s.vendor, s.vendor_id, s.url, s.title, s.summary, s.source, s.published_at, s.seen_at, s.tickers,
       s.first_seen_at, m.article_id, s.fetched_at AS read_at
FROM closingbell.news_sightings s LEFT JOIN closingbell.news_members m USING (vendor, vendor_id)
WHERE (s.vendor, s.vendor_id) IN (SELECT vendor, vendor_id FROM near)
   OR m.article_id IN (SELECT article_id FROM near)
ORDER BY s.first_seen_at, s.vendor, s.vendor_id;
