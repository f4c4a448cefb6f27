-- Every version of the ratings given after :rated_after and known by :known_at (timestamps): the rows, and what they were
-- before a correction. The larger `version` of two that were known at one moment is the later one. A version from before its
-- security was known is of the one it is by now.
SELECT vendor, rating_id, security_id, analyst_firm, action, target_action, rating, rating_numeric, price_target,
       currency, rated_at, known_at, removed_at, 9223372036854775807 AS version
FROM closingbell.analyst_ratings
WHERE rated_at > :rated_after AND known_at <= :known_at
UNION ALL
SELECT o.vendor, o.rating_id, coalesce(o.security_id, t.security_id), o.analyst_firm, o.action, o.target_action, o.rating, o.rating_numeric,
       o.price_target, o.currency, o.rated_at, o.known_at, o.removed_at, r.revision_id
FROM ops.revisions AS r
JOIN closingbell.analyst_ratings AS t ON t.vendor = r.key ->> 'vendor' AND t.rating_id = r.key ->> 'rating_id'
CROSS JOIN LATERAL jsonb_populate_record(NULL::closingbell.analyst_ratings, r.old_row) AS o
WHERE r.table_name = 'analyst_ratings' AND o.rated_at > :rated_after AND o.known_at <= :known_at;
