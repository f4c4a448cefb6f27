-- The API's keys in force.
SELECT key_id, name, tier, sha256 FROM ops.api_keys WHERE ended_at IS NULL;
