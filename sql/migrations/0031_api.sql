-- depends: 0030_score_evidence
-- Who may ask the API. The key itself is shown once, when it is made: 256 random bits, so that a plain SHA-256 keeps it.
CREATE TABLE ops.api_keys (
    key_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,         -- whose it is
    tier       text NOT NULL,         -- see closingbell.api.keys
    sha256     text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    ended_at   timestamptz,
    ended_by   text
);

-- Search: by words of a name, and by pieces of one. PostgreSQL lets a database's owner install this extension.
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
CREATE INDEX companies_name_words ON closingbell.companies USING gin (to_tsvector('simple', name));
CREATE INDEX companies_name_pieces ON closingbell.companies USING gin (name public.gin_trgm_ops);
