-- The runs that wrote a session last, table by table.
SELECT DISTINCT dag_id, run_id FROM ops.partition_claims WHERE partition_key = :session
