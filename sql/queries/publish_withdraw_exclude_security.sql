INSERT INTO withdrawn
SELECT DISTINCT t.tableoid, t.ctid, 'override:exclude_security'
FROM ops.overrides AS o
JOIN {target} AS t ON t.security_id = CAST(o.subject ->> 'security_id' AS bigint)
WHERE o.kind = 'exclude_security' AND o.ended_at IS NULL
  AND NOT EXISTS (SELECT FROM withdrawn AS w WHERE w.published = t.ctid AND w.part = t.tableoid);
