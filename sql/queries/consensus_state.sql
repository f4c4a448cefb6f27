-- What the consensus has to follow: `touched`, the first moment that a rating published since its last load read them
-- speaks of, or that got its security since (all of them where it has none, or was replayed last); `last_session` of the table; `told_at`, the
-- vendor's clock of the newest published answer; `upto`, when the ratings that are here now were published: those of one
-- table are published one after the other, so what comes later is later.
WITH counted AS (
    SELECT CAST(expected ->> 'upto' AS timestamptz) AS upto
    FROM ops.stages WHERE table_name = 'analyst_consensus' AND status = 'published'
    ORDER BY published_at DESC LIMIT 1
), last AS (
    SELECT coalesce((SELECT upto FROM counted), '-infinity') AS upto
)
SELECT
    (SELECT min(COALESCE(r.removed_at, r.known_at))
     FROM closingbell.analyst_ratings AS r
     JOIN ops.published_landings AS p ON p.landing_id = r.landing_id AND p.table_name = 'analyst_ratings'
     CROSS JOIN last
     WHERE p.published_at > last.upto
        OR r.rating_id IN (SELECT key ->> 'rating_id' FROM ops.revisions
                           WHERE table_name = 'analyst_ratings' AND revised_at > (SELECT upto FROM last)
                             AND old_row ->> 'security_id' IS NULL)) AS touched,
    (SELECT min(known_at) FROM closingbell.analyst_ratings) AS first_known,
    (SELECT max(session) FROM closingbell.analyst_consensus) AS last_session,
    (SELECT max(l.answered_at)
     FROM ops.landings AS l
     JOIN ops.published_landings AS p ON p.landing_id = l.landing_id AND p.table_name = 'analyst_ratings') AS told_at,
    (SELECT max(loaded_at) FROM ops.load_ledger WHERE dataset = 'analyst_ratings') AS upto;
