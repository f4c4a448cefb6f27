-- depends: 0006_roles
-- Only where an administrator has put the timescaledb extension into this database: the two tables that grow by every
-- session become hypertables of a year a chunk. Everything works the same on plain tables.
DO $timescale$
DECLARE
    grown text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN;
    END IF;
    FOREACH grown IN ARRAY ARRAY['closingbell.stock_prices', 'closingbell.technical_indicators'] LOOP
        EXECUTE format(
            'SELECT create_hypertable(%L, ''session'', chunk_time_interval => interval ''1 year'', '
            'migrate_data => true, if_not_exists => true)', grown);
    END LOOP;
END
$timescale$;
