INSERT INTO withdrawn
SELECT DISTINCT t.tableoid, t.ctid, 'override:reject_bar'
FROM ops.overrides AS o
JOIN {target} AS t ON t.security_id = CAST(o.subject ->> 'security_id' AS bigint) AND t.session = CAST(o.subject ->> 'session' AS date)
WHERE o.kind = 'reject_bar' AND o.ended_at IS NULL;
