-- securities that this run should have asked for and did not, because the vendor's day budget was spent
SELECT (expected ->> 'deferred')::bigint AS deferred, expected ->> 'resets_at' AS resets_at
FROM ops.stages
WHERE stage_id = '{stage_id}' AND (expected ->> 'deferred')::bigint > 0 AND NOT EXISTS (SELECT FROM {batch} WHERE false)
