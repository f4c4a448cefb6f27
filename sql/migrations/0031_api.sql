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

-- The session whose board is shown by default: the newest that was scored whole. A run that was narrowed to some securities
-- makes no board; where no run is known (rows of elsewhere) it is the newest that has scores.
CREATE VIEW ops.newest_scored AS
SELECT COALESCE(whole.session, newest.session) AS session
FROM (SELECT max(session) AS session FROM closingbell.ic_scores) AS newest
LEFT JOIN (
    SELECT CAST(day AS date) AS session
    FROM ops.stages AS s CROSS JOIN LATERAL jsonb_array_elements_text(s.expected -> 'sessions') AS day
    WHERE s.table_name = 'ic_scores' AND s.status = 'published'
      AND EXISTS (SELECT FROM closingbell.ic_scores AS i WHERE i.session = CAST(day AS date))
    ORDER BY 1 DESC LIMIT 1
) AS whole ON true;

-- Search: by words of a name, and by pieces of one. PostgreSQL lets a database's owner install this extension.
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
CREATE INDEX companies_name_words ON closingbell.companies USING gin (to_tsvector('simple', name));
CREATE INDEX companies_name_pieces ON closingbell.companies USING gin (name public.gin_trgm_ops);
