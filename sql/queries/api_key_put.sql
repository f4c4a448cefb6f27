-- A new key of the API, by its hash.
INSERT INTO ops.api_keys (name, tier, sha256, created_by) VALUES (:name, :tier, :sha256, :author) RETURNING key_id;
