INSERT INTO ops.quarantine (stage_id, table_name, batch_id, rule, landing_id, content)
SELECT :stage_id, :table, s.batch_id, s.rule, s.landing_id,
       to_jsonb(s) - 'batch_id' - 'rule' - CASE WHEN s.refused IS NULL THEN 'refused' ELSE '' END
FROM {stage} AS s
WHERE s.rule IS NOT NULL AND s.rule NOT IN ('duplicate', 'superseded');
