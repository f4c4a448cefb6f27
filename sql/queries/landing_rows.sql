SELECT landing_id, vendor, endpoint, key, request, path, sha256, content_type, answered_at, fetched_at
FROM ops.landings
WHERE landing_id = ANY(:ids);
