-- The copies :vendor text, :ids text[] as they were told first.
SELECT vendor, vendor_id, url, title, summary, source, published_at, seen_at, tickers, CAST(opinions AS text) AS opinions, CAST(late_tickers AS text) AS late_tickers, first_seen_at,
       landing_id, fetched_at
FROM closingbell.news_sightings
WHERE vendor = :vendor AND vendor_id = ANY(CAST(:ids AS text[]));
