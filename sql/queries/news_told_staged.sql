-- The copies :vendor text, :ids text[] as the batches that are staged already (of a replay) tell them.
SELECT DISTINCT ON (vendor_id) vendor, vendor_id, url, title, summary, source, published_at, seen_at, tickers,
       CAST(opinions AS text) AS opinions, CAST(late_tickers AS text) AS late_tickers, first_seen_at,
       landing_id, fetched_at
FROM {stage} WHERE vendor = :vendor AND vendor_id = ANY(CAST(:ids AS text[])) AND title IS NOT NULL
ORDER BY vendor_id, fetched_at DESC, landing_id DESC
