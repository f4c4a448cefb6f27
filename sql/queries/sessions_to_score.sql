-- Sessions from :first to :last (dates) whose scores are missing or older than what they are made of; those with bars alone
-- from :recent (date) on.
-- When a session was scored is when its last whole run began to read (rows that came out equal keep their old times).
WITH runs AS (
    SELECT CAST(day AS date) AS session, max(s.opened_at) AS scored_at
    FROM ops.stages s CROSS JOIN LATERAL jsonb_array_elements_text(s.expected -> 'sessions') AS day
    WHERE s.table_name = 'ic_scores' AND s.status = 'published'
    GROUP BY 1
), scored AS MATERIALIZED (
    SELECT r.session, r.scored_at, max(i.known_at) AS close
    FROM runs r JOIN closingbell.ic_scores i USING (session)
    WHERE r.session BETWEEN :first AND :last
    GROUP BY r.session, r.scored_at
), revised AS MATERIALIZED (
    SELECT table_name, key, CAST(key ->> 'security_id' AS bigint) AS security_id, CAST(key ->> 'session' AS date) AS session,
           old_row, revised_at
    FROM ops.revisions
    WHERE table_name IN ('stock_prices', 'corporate_actions', 'financials', 'technical_indicators', 'valuation_ratios',
                         'analyst_consensus', 'insider_activity', 'sentiment_daily', 'institutional_ownership')
      AND revised_at > (SELECT min(scored_at) FROM scored)
), came AS (  -- an operator's file is as old as it is, whenever it was loaded
    SELECT table_name, landing_id, published_at
    FROM ops.published_landings
    WHERE published_at > (SELECT min(scored_at) FROM scored)
), corrected AS (  -- bars whose numbers changed, not only their `final`; bars withdrawn; bars that came late; splits
    SELECT r.session, max(r.revised_at) AS at
    FROM revised r LEFT JOIN closingbell.stock_prices p USING (security_id, session)
    WHERE r.table_name = 'stock_prices'
      AND (CAST(r.old_row ->> 'open' AS double precision), CAST(r.old_row ->> 'high' AS double precision),
           CAST(r.old_row ->> 'low' AS double precision), CAST(r.old_row ->> 'close' AS double precision),
           CAST(r.old_row ->> 'volume' AS double precision))
          IS DISTINCT FROM (p.open, p.high, p.low, p.close, p.volume)
    GROUP BY r.session
    UNION ALL
    SELECT p.session, max(l.published_at)
    FROM closingbell.stock_prices p JOIN came l ON l.table_name = 'stock_prices' AND l.landing_id = p.landing_id
    WHERE p.session > CAST(:first AS date) - 600
      AND NOT EXISTS (SELECT FROM revised r WHERE r.table_name = 'stock_prices' AND r.security_id = p.security_id
                                              AND r.session = p.session)
    GROUP BY p.session
    UNION ALL
    SELECT a.ex_date, max(l.published_at)
    FROM closingbell.corporate_actions a JOIN came l ON l.table_name = 'corporate_actions' AND l.landing_id = a.landing_id
    WHERE a.kind IN ('split', 'spin_off')
    GROUP BY a.ex_date
    UNION ALL
    SELECT CAST(r.key ->> 'ex_date' AS date), max(r.revised_at)
    FROM revised r
    LEFT JOIN closingbell.corporate_actions a
           ON (a.security_id, a.ex_date, a.kind) = (r.security_id, CAST(r.key ->> 'ex_date' AS date), r.key ->> 'kind')
    WHERE r.table_name = 'corporate_actions' AND r.key ->> 'kind' IN ('split', 'spin_off')
      AND (CAST(r.old_row ->> 'numerator' AS double precision), CAST(r.old_row ->> 'denominator' AS double precision))
          IS DISTINCT FROM (a.numerator, a.denominator)
    GROUP BY 1
), late AS (  -- of each company, as score_financials.sql reads them: rows that came, that are others now or are gone
    SELECT f.cik, l.published_at AS at, min(f.known_at) AS known_at
    FROM closingbell.financials f JOIN came l ON l.table_name = 'financials' AND l.landing_id = f.landing_id
    WHERE f.period_end > CAST(:first AS date) - 2500
    GROUP BY f.cik, l.published_at
    UNION ALL
    SELECT CAST(key ->> 'cik' AS bigint), revised_at, min(CAST(old_row ->> 'known_at' AS timestamptz))
    FROM revised
    WHERE table_name = 'financials' AND CAST(key ->> 'period_end' AS date) > CAST(:first AS date) - 2500
    GROUP BY 1, 2
), touched AS MATERIALIZED (
    SELECT DISTINCT s.session, l.cik
    FROM scored s JOIN late l ON l.known_at <= s.close AND l.at > s.scored_at
), reads (table_name, reason, columns) AS (  -- what scores read of a row of a session
    VALUES
        ('technical_indicators', 'indicators were made anew after the score',
         ARRAY['close', 'rsi_14', 'macd_histogram', 'sma_50', 'adx_14', 'return_1m', 'return_3m', 'return_6m', 'return_12m']),
        ('valuation_ratios', 'market values were made anew after the score',
         ARRAY['market_cap', 'earnings_yield', 'book_yield', 'sales_yield', 'statement_period_end']),
        ('analyst_consensus', 'ratings known by the close were loaded after the score',
         ARRAY['rating_mean', 'target_mean', 'firms', 'ratings_from']),
        ('insider_activity', 'insider trades known by the close were loaded after the score',
         ARRAY['net_value_30d', 'unpriced_30d', 'buyers_30d', 'net_value_90d', 'unpriced_90d', 'filings_from']),
        ('sentiment_daily', 'news known by the close were loaded after the score', ARRAY['sentiment_7d', 'sentiment_30d'])
), straddled AS (  -- stages that were published after a score that began after them: their rows were not there to read
    SELECT s.session, g.table_name, min(g.opened_at) AS since
    FROM scored AS s JOIN ops.stages AS g ON g.opened_at <= s.scored_at AND g.published_at > s.scored_at
    WHERE g.table_name IN (SELECT table_name FROM reads)
    GROUP BY s.session, g.table_name
), begun AS MATERIALIZED (  -- from when on rows are new to a score; a stage's rows are as old as its batches
    SELECT s.session, r.table_name, coalesce(x.since, s.scored_at) AS since
    FROM scored AS s CROSS JOIN reads AS r LEFT JOIN straddled AS x USING (session, table_name)
), here AS (
    SELECT b.table_name, t.security_id, t.session, to_jsonb(t) AS content
    FROM begun AS b JOIN closingbell.technical_indicators AS t USING (session)
    WHERE b.table_name = 'technical_indicators' AND t.fetched_at > b.since
    UNION ALL
    SELECT b.table_name, t.security_id, t.session, to_jsonb(t)
    FROM begun AS b JOIN closingbell.valuation_ratios AS t USING (session)
    WHERE b.table_name = 'valuation_ratios' AND t.fetched_at > b.since
    UNION ALL
    SELECT b.table_name, t.security_id, t.session, to_jsonb(t)
    FROM begun AS b JOIN closingbell.analyst_consensus AS t USING (session)
    WHERE b.table_name = 'analyst_consensus' AND t.fetched_at > b.since
    UNION ALL
    SELECT b.table_name, t.security_id, t.session, to_jsonb(t)
    FROM begun AS b JOIN closingbell.insider_activity AS t USING (session)
    WHERE b.table_name = 'insider_activity' AND t.fetched_at > b.since
    UNION ALL
    SELECT b.table_name, t.security_id, t.session, to_jsonb(t)
    FROM begun AS b JOIN closingbell.sentiment_daily AS t USING (session)
    WHERE b.table_name = 'sentiment_daily' AND t.fetched_at > b.since
), was AS (  -- what the score read of them; nothing of those that came
    SELECT DISTINCT ON (table_name, security_id, session) table_name, r.security_id, session, r.old_row AS content
    FROM revised AS r JOIN begun AS b USING (table_name, session)
    WHERE r.revised_at > b.since
    ORDER BY table_name, security_id, session, r.revised_at
), remade AS MATERIALIZED (
    SELECT DISTINCT session, security_id, reason
    FROM here FULL JOIN was USING (table_name, security_id, session) JOIN reads USING (table_name)
    WHERE here.content IS NULL OR was.content IS NULL
       OR (SELECT array_agg(here.content -> name) FROM unnest(columns) AS name)
          IS DISTINCT FROM (SELECT array_agg(was.content -> name) FROM unnest(columns) AS name)
), holdings AS (  -- that came, are others now, or are gone
    SELECT session, quarter, max(at) AS at
    FROM (SELECT session, quarter, fetched_at AS at FROM closingbell.institutional_ownership
          WHERE session <= :last AND quarter > CAST(:first AS date) - 150
          UNION ALL
          SELECT session, CAST(key ->> 'quarter' AS date), revised_at FROM revised
          WHERE table_name = 'institutional_ownership') AS h
    GROUP BY session, quarter
), held AS (
    SELECT h.session, h.quarter,
           greatest(h.at, (SELECT max(g.published_at) FROM ops.stages AS g
                           WHERE g.table_name = 'institutional_ownership' AND g.opened_at <= h.at
                             AND g.published_at > h.at)) AS at
    FROM holdings AS h
    WHERE h.at > (SELECT min(scored_at) FROM scored) - interval '1 day'
)
SELECT session, 'bars or splits came or were corrected after the score' AS reason
FROM scored s
WHERE EXISTS (SELECT FROM corrected c  -- an indicator looks back on 400 bars
              WHERE c.session BETWEEN s.session - 600 AND s.session AND c.at > s.scored_at)
UNION
SELECT t.session, 'statements known by the close were loaded after the score'
FROM touched t
WHERE EXISTS (SELECT FROM closingbell.securities y JOIN closingbell.stock_prices p USING (security_id)
              WHERE y.cik = t.cik AND p.session = t.session)  -- what did not trade then is in no score of then
UNION
SELECT r.session, r.reason
FROM remade r
WHERE EXISTS (SELECT FROM closingbell.stock_prices p WHERE p.security_id = r.security_id AND p.session = r.session)
UNION  -- a row stands from its session until its quarter is too old (scores/factors.py)
SELECT s.session, 'holdings known by the close were loaded after the score'
FROM scored s
WHERE EXISTS (SELECT FROM held h
              WHERE h.session <= s.session AND h.quarter BETWEEN s.session - 150 AND s.session - 48 AND h.at > s.scored_at)
UNION
SELECT p.session, 'bars, but no run that scored them all'
FROM closingbell.technical_indicators p
WHERE p.session BETWEEN :first AND :last AND NOT EXISTS (SELECT FROM scored s WHERE s.session = p.session)
GROUP BY p.session
UNION  -- what a run broke off; not those before the first one scored, nor long ago: their bars are other sessions' history
SELECT d.session, 'bars, but no run that scored them all'
FROM (SELECT CAST(generate_series(CAST(:recent AS date), CAST(:last AS date), interval '1 day') AS date) AS session) d
WHERE d.session > (SELECT min(session) FROM runs)
  AND EXISTS (SELECT FROM closingbell.stock_prices p WHERE p.session = d.session)
  AND NOT EXISTS (SELECT FROM scored s WHERE s.session = d.session)
ORDER BY session, reason;
