-- Every key of the API, without its hash.
SELECT key_id, name, tier, created_at, created_by, ended_at, ended_by FROM ops.api_keys ORDER BY key_id;
