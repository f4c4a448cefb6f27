-- LEFT JOIN from what is expected, so that a session without any row is found: of each of `sessions` the `securities`,
-- or the shares that traded on the day in its place in `traded_on`: in this stage where that day is one of `sessions`
-- itself, and another, else as stored. Without either one row.
-- Up to `thin_days` sessions before `old_before` may lack more, those counted that have less than min_share of the most
-- rows of a session: what follows a thin day is measured by it, and would not show.
-- {whole}: every expected security is wanted, not only min_share of them, or what stands in its place in `min_shares`
WITH stage AS NOT MATERIALIZED (SELECT expected FROM ops.stages WHERE stage_id = '{stage_id}'),
excluded AS NOT MATERIALIZED (  -- a scan of what is materialized keeps others from being parallel
    SELECT (subject ->> 'security_id')::bigint AS security_id FROM ops.overrides
    WHERE kind = 'exclude_security' AND ended_at IS NULL
),
listed AS NOT MATERIALIZED (
    SELECT id::bigint AS security_id
    FROM stage CROSS JOIN LATERAL jsonb_array_elements_text(expected -> 'securities') AS id
    WHERE id::bigint NOT IN (SELECT security_id FROM excluded)
),
asked AS MATERIALIZED (
    SELECT e.session::date AS session, e.day::date AS day, (expected -> 'securities') IS NOT NULL AS listed,
           COALESCE(e.share, expected ->> 'min_share')::double precision AS min_share,
           e.day <> e.session AND (expected -> 'sessions') ? e.day AS staged
    FROM stage CROSS JOIN LATERAL ROWS FROM (
        jsonb_array_elements_text(expected -> 'sessions'), jsonb_array_elements_text(expected -> 'traded_on'),
        jsonb_array_elements_text(expected -> 'min_shares')
    ) AS e (session, day, share)
),
traded AS MATERIALIZED (
    SELECT w.session, count(*) AS securities, count(r.security_id) AS found
    FROM (
        SELECT a.session, b.security_id FROM asked AS a JOIN {batch} AS b ON b.session = a.day WHERE a.staged
        UNION ALL
        SELECT a.session, p.security_id
        FROM asked AS a JOIN closingbell.stock_prices AS p ON p.session = a.day WHERE NOT a.staged
    ) AS w
    JOIN closingbell.securities AS s USING (security_id)
    LEFT JOIN {batch} AS r ON r.session = w.session AND r.security_id = w.security_id
    WHERE s.type IN ('CS', 'ADRC', 'OS', 'GDR')
      AND COALESCE(s.first_session, w.session) <= w.session AND COALESCE(s.last_session, w.session) >= w.session
      AND w.security_id NOT IN (SELECT security_id FROM excluded)
    GROUP BY w.session
),
found AS MATERIALIZED (
    SELECT r.session, count(*) AS all_rows, count(w.security_id) AS listed_rows
    FROM {batch} AS r LEFT JOIN listed AS w ON w.security_id = r.security_id
    GROUP BY r.session
),
counted AS (
    SELECT a.session, a.min_share,
           CASE WHEN a.listed THEN (SELECT count(*) FROM listed) ELSE COALESCE(t.securities, 1) END AS expected,
           COALESCE(CASE WHEN a.listed THEN f.listed_rows WHEN t.session IS NULL THEN f.all_rows ELSE t.found END, 0) AS found
    FROM asked AS a LEFT JOIN traded AS t USING (session) LEFT JOIN found AS f USING (session)
),
old AS (
    SELECT count(*) FILTER (WHERE r.found < r.min_share * r.most) <= min((s.expected ->> 'thin_days')::int) AS forgiven
    FROM (
        SELECT a.session, a.min_share, COALESCE(f.all_rows, 0) AS found, max(f.all_rows) OVER () AS most
        FROM asked AS a LEFT JOIN found AS f USING (session)
    ) AS r CROSS JOIN stage AS s
    WHERE r.session < (s.expected ->> 'old_before')::date
)
SELECT c.session, c.expected, c.found
FROM counted AS c CROSS JOIN stage AS s CROSS JOIN old AS o
WHERE c.found < c.expected * CASE
        WHEN {whole} THEN 1  -- of a short list a few may be halted
        ELSE COALESCE(c.min_share, LEAST(0.95, GREATEST(1, c.expected - 5) / c.expected::double precision)) END
    AND ({whole} OR (c.session < (s.expected ->> 'old_before')::date AND o.forgiven) IS NOT TRUE)
ORDER BY 1
