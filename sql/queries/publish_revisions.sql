INSERT INTO ops.revisions (stage_id, table_name, key, old_row, reason)
SELECT :stage_id, :table, jsonb_build_object({key_json}), to_jsonb(t), r.reason
FROM (
    SELECT part, published, 'changed' AS reason FROM matched WHERE yields
    UNION ALL
    SELECT part, published, reason FROM withdrawn
) AS r
JOIN {target} AS t ON t.ctid = r.published AND t.tableoid = r.part;
