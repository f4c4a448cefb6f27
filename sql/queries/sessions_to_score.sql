-- Sessions from :first to :last (dates) whose scores are missing or older than what they are made of; those with bars alone
-- from :recent (date) on.
-- When a session was scored is when its last whole run began to read (rows that came out equal keep their old times).
WITH runs AS (
    SELECT CAST(day AS date) AS session, max(s.opened_at) AS scored_at
    FROM ops.stages s CROSS JOIN LATERAL jsonb_array_elements_text(s.expected -> 'sessions') AS day
    WHERE s.table_name = 'ic_scores' AND s.status = 'published'
    GROUP BY 1
), scored AS (
    SELECT r.session, r.scored_at, max(i.known_at) AS close
    FROM runs r JOIN closingbell.ic_scores i USING (session)
    WHERE r.session BETWEEN :first AND :last
    GROUP BY r.session, r.scored_at
), revised AS (
    SELECT CAST(key ->> 'security_id' AS bigint) AS security_id, CAST(key ->> 'session' AS date) AS session, old_row,
           revised_at
    FROM ops.revisions
    WHERE table_name = 'stock_prices' AND revised_at > (SELECT min(scored_at) FROM scored)
), came AS (  -- an operator's file is as old as it is, whenever it was loaded
    SELECT table_name, landing_id, published_at
    FROM ops.published_landings
    WHERE published_at > (SELECT min(scored_at) FROM scored)
), corrected AS (  -- bars whose numbers changed, not only their `final`; bars withdrawn; bars that came late; splits
    SELECT r.session, max(r.revised_at) AS at
    FROM revised r LEFT JOIN closingbell.stock_prices p USING (security_id, session)
    WHERE (CAST(r.old_row ->> 'open' AS double precision), CAST(r.old_row ->> 'high' AS double precision),
           CAST(r.old_row ->> 'low' AS double precision), CAST(r.old_row ->> 'close' AS double precision),
           CAST(r.old_row ->> 'volume' AS double precision))
          IS DISTINCT FROM (p.open, p.high, p.low, p.close, p.volume)
    GROUP BY r.session
    UNION ALL
    SELECT p.session, max(l.published_at)
    FROM closingbell.stock_prices p JOIN came l ON l.table_name = 'stock_prices' AND l.landing_id = p.landing_id
    WHERE p.session > CAST(:last AS date) - 400
      AND NOT EXISTS (SELECT FROM revised r WHERE r.security_id = p.security_id AND r.session = p.session)
    GROUP BY p.session
    UNION ALL
    SELECT a.ex_date, max(l.published_at)
    FROM closingbell.corporate_actions a JOIN came l ON l.table_name = 'corporate_actions' AND l.landing_id = a.landing_id
    WHERE a.kind IN ('split', 'spin_off')
    GROUP BY a.ex_date
), loads AS (  -- when the rows of a landing were published
    SELECT unnest(b.landing_ids) AS landing_id, max(s.published_at) AS published_at
    FROM ops.stage_batches b JOIN ops.stages s USING (stage_id)
    WHERE s.table_name = 'financials' AND s.published_at > (SELECT min(scored_at) FROM scored)
    GROUP BY 1
), late AS (
    SELECT f.known_at, l.published_at
    FROM closingbell.financials f JOIN loads l USING (landing_id)
    WHERE f.known_at > CAST(:last AS date) - 400
), made AS (  -- from ratings, trades, holdings and news, or withdrawn; rows that came out equal keep their old times
    SELECT 'analyst_consensus' AS made_of, session, CAST(NULL AS date) AS quarter, max(fetched_at) AS at
    FROM closingbell.analyst_consensus WHERE session BETWEEN :first AND :last GROUP BY session
    UNION ALL
    SELECT 'insider_activity', session, NULL, max(fetched_at)
    FROM closingbell.insider_activity WHERE session BETWEEN :first AND :last GROUP BY session
    UNION ALL
    SELECT 'sentiment_daily', session, NULL, max(fetched_at)
    FROM closingbell.sentiment_daily WHERE session BETWEEN :first AND :last GROUP BY session
    UNION ALL
    SELECT 'institutional_ownership', session, quarter, max(fetched_at)
    FROM closingbell.institutional_ownership
    WHERE session <= :last AND quarter > CAST(:first AS date) - 150 GROUP BY session, quarter
    UNION ALL
    SELECT table_name, CAST(key ->> 'session' AS date), CAST(key ->> 'quarter' AS date), max(revised_at)
    FROM ops.revisions
    WHERE table_name IN ('analyst_consensus', 'insider_activity', 'sentiment_daily', 'institutional_ownership')
      AND revised_at > (SELECT min(scored_at) FROM scored)
    GROUP BY 1, 2, 3
), sums AS (  -- when they were there to read: a stage's rows are as old as its batches
    SELECT m.made_of, m.session, m.quarter,
           max(greatest(m.at, (SELECT max(s.published_at) FROM ops.stages AS s
                               WHERE s.table_name = m.made_of AND s.opened_at <= m.at AND s.published_at > m.at))) AS at
    FROM made AS m
    WHERE m.at > (SELECT min(scored_at) FROM scored) - interval '1 day'
    GROUP BY 1, 2, 3
)
SELECT session, 'bars or splits came or were corrected after the score' AS reason
FROM scored s WHERE EXISTS (SELECT FROM corrected c WHERE c.session <= s.session AND c.at > s.scored_at)
UNION
SELECT session, 'statements known by the close were loaded after the score'
FROM scored s WHERE EXISTS (SELECT FROM late l WHERE l.known_at <= s.close AND l.published_at > s.scored_at)
UNION
SELECT s.session, CASE m.made_of WHEN 'analyst_consensus' THEN 'ratings' WHEN 'insider_activity' THEN 'insider trades'
                  ELSE 'news' END || ' known by the close were loaded after the score'
FROM scored s JOIN sums m USING (session) WHERE m.quarter IS NULL AND m.at > s.scored_at
UNION  -- a row stands from its session until its quarter is too old (scores/factors.py)
SELECT s.session, 'holdings known by the close were loaded after the score'
FROM scored s
WHERE EXISTS (SELECT FROM sums h
              WHERE h.session <= s.session AND h.quarter BETWEEN s.session - 150 AND s.session - 48 AND h.at > s.scored_at)
UNION
SELECT p.session, 'bars, but no score'
FROM closingbell.technical_indicators p
WHERE p.session BETWEEN :first AND :last AND NOT EXISTS (SELECT FROM scored s WHERE s.session = p.session)
GROUP BY p.session
UNION  -- what a run broke off; not those before the first one scored, nor long ago: their bars are other sessions' history
SELECT d.session, 'bars, but no score'
FROM (SELECT CAST(generate_series(CAST(:recent AS date), CAST(:last AS date), interval '1 day') AS date) AS session) d
WHERE d.session > (SELECT min(session) FROM runs)
  AND EXISTS (SELECT FROM closingbell.stock_prices p WHERE p.session = d.session)
  AND NOT EXISTS (SELECT FROM scored s WHERE s.session = d.session)
ORDER BY session, reason;
