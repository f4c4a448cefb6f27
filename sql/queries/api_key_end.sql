-- End a key of the API; nothing where it is unknown or ended already.
UPDATE ops.api_keys SET ended_at = clock_timestamp(), ended_by = :author
WHERE key_id = :key_id AND ended_at IS NULL RETURNING key_id;
