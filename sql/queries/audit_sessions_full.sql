-- as audit_sessions_complete, for a warning: every expected security
SELECT e.session, e.securities AS expected, coalesce(b.found, 0) AS found
FROM (
    SELECT session::date AS session, (s.expected -> 'securities') IS NOT NULL AS listed,
           (SELECT count(*) FROM jsonb_array_elements(s.expected -> 'securities') AS x (id)
            WHERE NOT EXISTS (SELECT FROM ops.overrides AS o
                              WHERE o.kind = 'exclude_security' AND o.ended_at IS NULL
                                AND o.subject -> 'security_id' = x.id)) AS securities
    FROM ops.stages AS s CROSS JOIN LATERAL jsonb_array_elements_text(s.expected -> 'sessions') AS session
    WHERE s.stage_id = '{stage_id}'
) AS e
LEFT JOIN (
    SELECT r.session, count(*) AS found
    FROM {batch} AS r
    CROSS JOIN (SELECT (expected -> 'securities') IS NULL AS any_security FROM ops.stages WHERE stage_id = '{stage_id}') AS a
    WHERE a.any_security OR r.security_id IN (
        SELECT id::bigint
        FROM ops.stages AS s CROSS JOIN LATERAL jsonb_array_elements_text(s.expected -> 'securities') AS id
        WHERE s.stage_id = '{stage_id}')
    GROUP BY r.session
) AS b ON b.session = e.session
WHERE coalesce(b.found, 0) < e.securities
ORDER BY 1
