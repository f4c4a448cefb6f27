-- Quarters that something published since ownership was last loaded concerns (by an older run or a replay, too), and the
-- first moment that it changes: filings; lines that got their security; shares outstanding, for :days after their period's
-- end; splits, which each number of shares near them is brought to the basis of.
WITH last AS (
    SELECT coalesce(max(CAST(expected ->> 'upto' AS timestamptz)), '-infinity') AS upto
    FROM ops.stages WHERE table_name = 'institutional_ownership' AND status = 'published'
), new AS (
    SELECT p.table_name, p.landing_id FROM ops.published_landings AS p CROSS JOIN last WHERE p.published_at > last.upto
), held AS (
    SELECT DISTINCT security_id, quarter FROM closingbell.institutional_ownership
), touched AS (
    SELECT f.quarter, f.known_at
    FROM closingbell.institutional_filings AS f JOIN new USING (landing_id) WHERE table_name = 'institutional_filings'
    UNION ALL
    SELECT CAST(r.old_row ->> 'quarter' AS date), CAST(r.old_row ->> 'known_at' AS timestamptz)
    FROM ops.revisions AS r CROSS JOIN last
    WHERE r.table_name = 'institutional_holdings' AND r.revised_at > last.upto
    UNION ALL
    SELECT held.quarter, f.known_at
    FROM closingbell.financials AS f
    JOIN new USING (landing_id) JOIN closingbell.securities AS s USING (cik) JOIN held USING (security_id)
    WHERE table_name = 'financials' AND f.shares_outstanding > 0
      AND held.quarter BETWEEN f.period_end AND f.period_end + CAST(:days AS int)
    UNION ALL
    SELECT held.quarter, CAST(c.valid_from AS timestamp) AT TIME ZONE 'America/New_York'
    FROM closingbell.class_shares AS c JOIN new USING (landing_id) JOIN held USING (security_id)
    WHERE table_name = 'class_shares' AND held.quarter <= c.valid_from + CAST(:days AS int)
    UNION ALL
    SELECT held.quarter, CAST(a.ex_date AS timestamp) AT TIME ZONE 'America/New_York'
    FROM closingbell.corporate_actions AS a JOIN new USING (landing_id) JOIN held USING (security_id)
    WHERE table_name = 'corporate_actions' AND a.kind = 'split'
      AND held.quarter BETWEEN a.ex_date - CAST(:days AS int) AND a.ex_date + CAST(:days AS int)
)
SELECT quarter, min(known_at) AS known_at FROM touched GROUP BY quarter;
