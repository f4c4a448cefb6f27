-- What the consensus has to follow: `touched`, the first moment that a rating published since its last load speaks of
-- or that got its security since (all of them where it has none); `last_session` of the table; `told_at`, the vendor's clock of the newest published answer.
WITH loaded AS (SELECT max(loaded_at) AS at FROM ops.load_ledger WHERE dataset = 'analyst_consensus')
SELECT
    (SELECT min(COALESCE(r.removed_at, r.known_at))
     FROM closingbell.analyst_ratings AS r
     JOIN ops.published_landings AS p ON p.landing_id = r.landing_id AND p.table_name = 'analyst_ratings'
     CROSS JOIN loaded
     WHERE loaded.at IS NULL OR p.published_at > loaded.at
        OR r.rating_id IN (SELECT key ->> 'rating_id' FROM ops.revisions
                           WHERE table_name = 'analyst_ratings' AND revised_at > (SELECT at FROM loaded)
                             AND old_row ->> 'security_id' IS NULL)) AS touched,
    (SELECT min(known_at) FROM closingbell.analyst_ratings) AS first_known,
    (SELECT max(session) FROM closingbell.analyst_consensus) AS last_session,
    (SELECT max(l.answered_at)
     FROM ops.landings AS l
     JOIN ops.published_landings AS p ON p.landing_id = l.landing_id AND p.table_name = 'analyst_ratings') AS told_at;
