-- Benzinga's published ratings :ids (text[]), without lineage.
SELECT vendor, rating_id, security_id, ticker, analyst_firm, analyst_name, action, target_action, rating, rating_before,
       rating_numeric, price_target, price_target_before, currency, rated_at, rated_at_source, known_at, updated_at,
       removed_at, url
FROM closingbell.analyst_ratings WHERE vendor = 'benzinga' AND rating_id = ANY(CAST(:ids AS text[]));
