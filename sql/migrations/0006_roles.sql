-- depends: 0005_scores
-- Owner makes tables, loader runs the pipelines, reader looks. Grant them to login roles of your own, for instance
-- GRANT closingbell_loader TO airflow. Who may not make roles keeps one login for everything; nothing else changes.
DO $roles$
DECLARE
    wanted text;
    who text;
BEGIN
    IF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        RAISE NOTICE 'closingbell: % may not create roles, so there is no owner, loader and reader', current_user;
        RETURN;
    END IF;
    FOREACH wanted IN ARRAY ARRAY['closingbell_owner', 'closingbell_loader', 'closingbell_reader'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- of another database of this server, or made a moment ago
        END;
    END LOOP;
    GRANT ALL ON SCHEMA closingbell, ops, staging TO closingbell_owner;
    GRANT ALL ON ALL TABLES IN SCHEMA closingbell, ops, staging TO closingbell_owner;
    GRANT USAGE ON SCHEMA closingbell, ops, staging TO closingbell_loader;
    GRANT CREATE ON SCHEMA staging TO closingbell_loader;  -- a stage is a table of its own
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA closingbell, ops TO closingbell_loader;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA ops TO closingbell_loader;
    GRANT USAGE ON SCHEMA closingbell, ops TO closingbell_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA closingbell, ops TO closingbell_reader;
    -- what later migrations add
    ALTER DEFAULT PRIVILEGES IN SCHEMA closingbell, ops GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO closingbell_loader;
    ALTER DEFAULT PRIVILEGES IN SCHEMA ops GRANT USAGE ON SEQUENCES TO closingbell_loader;
    ALTER DEFAULT PRIVILEGES IN SCHEMA closingbell, ops GRANT SELECT ON TABLES TO closingbell_reader;
END
$roles$;
