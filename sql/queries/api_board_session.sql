-- The scored session that :session (date; NULL: the newest) leads to: itself, else the last one before it, else the first;
-- its close, the sessions around it, and the ends. No row where nothing is scored.
WITH ends AS (
    SELECT (SELECT min(session) FROM closingbell.ic_scores) AS oldest, session AS newest FROM ops.newest_scored
), asked AS (
    SELECT e.oldest, e.newest, COALESCE((
        SELECT max(session) FROM closingbell.ic_scores WHERE session <= COALESCE(CAST(:session AS date), e.newest)
    ), e.oldest) AS session
    FROM ends AS e
)
SELECT a.session, a.oldest, a.newest,
       (SELECT known_at FROM closingbell.ic_scores WHERE session = a.session LIMIT 1) AS known_at,
       (SELECT max(session) FROM closingbell.ic_scores WHERE session < a.session) AS before,
       (SELECT min(session) FROM closingbell.ic_scores WHERE session > a.session) AS after
FROM asked AS a WHERE a.session IS NOT NULL;
