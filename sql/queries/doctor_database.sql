-- The server's version and the extensions of this database that matter here.
SELECT current_setting('server_version_num')::int AS version,
       (SELECT array_agg(extname::text ORDER BY extname) FROM pg_extension) AS extensions,
       pg_database_size(current_database()) AS bytes;
