SELECT c.relname
FROM pg_class AS c
WHERE c.relnamespace = 'staging'::regnamespace AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM ops.stages AS s
                  WHERE c.relname = s.table_name || '_' || s.stage_id AND s.status IN ('open', 'audited', 'failed'));
