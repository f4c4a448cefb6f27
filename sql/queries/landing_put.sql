INSERT INTO ops.landings (vendor, endpoint, key, request, path, sha256, bytes, content_type, answered_at, fetched_at)
VALUES (:vendor, :endpoint, :key, CAST(:request AS jsonb), :path, :sha256, :bytes, :content_type, :answered_at, :fetched_at)
RETURNING landing_id;
