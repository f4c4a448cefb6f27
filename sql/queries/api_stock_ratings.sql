-- The newest :most (integer) ratings of :security_id that were known at :known_at (timestamptz).
SELECT vendor, rating_id, analyst_firm, analyst_name, action, rating, rating_before, price_target, price_target_before, currency,
       rated_at, known_at, removed_at <= :known_at AS removed, url
FROM closingbell.analyst_ratings
WHERE security_id = :security_id AND known_at <= :known_at
ORDER BY rated_at DESC, rating_id LIMIT CAST(:most AS integer);
