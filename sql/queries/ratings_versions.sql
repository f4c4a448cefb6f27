-- Every version of the ratings given after :rated_after and known by :known_at (timestamps).
SELECT vendor, rating_id, security_id, analyst_firm, action, target_action, rating, rating_numeric, price_target,
       currency, rated_at, known_at, removed_at, version
FROM ops.rating_versions WHERE rated_at > :rated_after AND known_at <= :known_at;
