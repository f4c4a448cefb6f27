-- LEFT JOIN from what is expected, so that a session without any row is found. {whole}: every expected security is
-- wanted, not only min_share of them
WITH stage AS NOT MATERIALIZED (SELECT expected FROM ops.stages WHERE stage_id = '{stage_id}'),
wanted AS NOT MATERIALIZED (  -- a scan of what is materialized keeps others from being parallel
    SELECT id::bigint AS security_id
    FROM stage CROSS JOIN LATERAL jsonb_array_elements_text(expected -> 'securities') AS id
    WHERE id::bigint NOT IN (SELECT (subject ->> 'security_id')::bigint FROM ops.overrides
                             WHERE kind = 'exclude_security' AND ended_at IS NULL)
),
asked AS MATERIALIZED (
    SELECT (expected -> 'securities') IS NOT NULL AS listed, (SELECT count(*) FROM wanted) AS securities,
           CASE WHEN {whole} THEN 1 ELSE coalesce((expected ->> 'min_share')::double precision, 0.95) END AS min_share
    FROM stage
),
found AS MATERIALIZED (
    SELECT r.session, count(*) AS all_rows, count(w.security_id) AS wanted_rows
    FROM {batch} AS r LEFT JOIN wanted AS w ON w.security_id = r.security_id
    GROUP BY r.session
)
SELECT e.session, a.securities AS expected, coalesce(CASE WHEN a.listed THEN f.wanted_rows ELSE f.all_rows END, 0) AS found
FROM (SELECT d::date AS session FROM stage CROSS JOIN LATERAL jsonb_array_elements_text(expected -> 'sessions') AS d) AS e
CROSS JOIN asked AS a
LEFT JOIN found AS f ON f.session = e.session
WHERE coalesce(CASE WHEN a.listed THEN f.wanted_rows ELSE f.all_rows END, 0)
    < CASE WHEN a.listed THEN a.min_share * a.securities ELSE 1 END
ORDER BY 1
