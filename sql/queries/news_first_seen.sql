-- When the copies :vendor text, :ids text[] were first landed.
SELECT vendor, vendor_id, first_seen_at FROM closingbell.news_sightings
WHERE vendor = :vendor AND vendor_id = ANY(CAST(:ids AS text[]));
