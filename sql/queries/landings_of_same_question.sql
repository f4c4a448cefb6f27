-- The landings :ids and the earlier answers that theirs replace. Only company facts are told whole each time: a list or a
-- page leaves out what older ones told rightly, and so may a zip that an operator gave as a file.
SELECT unnest(CAST(:ids AS bigint[])) AS landing_id
UNION
SELECT earlier.landing_id
FROM ops.landings AS l
JOIN ops.landings AS earlier USING (vendor, endpoint, key)
WHERE l.landing_id = ANY(CAST(:ids AS bigint[]))
  AND (earlier.fetched_at, earlier.landing_id) <= (l.fetched_at, l.landing_id)
  AND (endpoint = 'companyfacts' OR (endpoint = 'companyfacts_zip' AND l.request ->> 'method' IS DISTINCT FROM 'file'));
