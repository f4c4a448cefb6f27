INSERT INTO {target} ({columns})
SELECT {s_columns}
FROM {stage} AS s
WHERE s.rule IS NULL AND NOT EXISTS (SELECT FROM matched AS m WHERE m.staged = s.ctid);
