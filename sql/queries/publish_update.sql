UPDATE {target} AS t
SET ({columns}) = ROW({s_columns})
FROM matched AS c
JOIN {stage} AS s ON s.ctid = c.staged
WHERE c.yields AND t.ctid = c.published AND t.tableoid = c.part;
