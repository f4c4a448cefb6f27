-- When the copies :vendor text, :ids text[] were first landed, of the batches that are staged already (a replay).
SELECT vendor, vendor_id, min(first_seen_at)
FROM {stage} WHERE vendor = :vendor AND vendor_id = ANY(CAST(:ids AS text[])) AND first_seen_at IS NOT NULL
GROUP BY vendor, vendor_id
