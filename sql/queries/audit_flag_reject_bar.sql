UPDATE {stage} AS s
SET rule = 'override:reject_bar'
FROM ops.overrides AS o
WHERE o.kind = 'reject_bar' AND o.ended_at IS NULL AND s.rule IS NULL
  AND s.security_id = CAST(o.subject ->> 'security_id' AS bigint) AND s.session = CAST(o.subject ->> 'session' AS date);
