UPDATE {stage} AS s
SET rule = 'override:exclude_security'
FROM ops.overrides AS o
WHERE o.kind = 'exclude_security' AND o.ended_at IS NULL AND s.rule IS NULL
  AND s.security_id = CAST(o.subject ->> 'security_id' AS bigint);
