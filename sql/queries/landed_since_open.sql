-- What this run has landed already, newest answer a key, so that a retry asks only for the rest.
-- :stage_id text, :vendor text, :endpoint text
SELECT DISTINCT ON (l.key) l.key, l.landing_id
FROM ops.landings l JOIN ops.stages s ON s.stage_id = :stage_id AND l.fetched_at >= s.opened_at
WHERE l.vendor = :vendor AND l.endpoint = :endpoint
ORDER BY l.key, l.landing_id DESC;
