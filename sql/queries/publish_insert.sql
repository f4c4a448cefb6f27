-- in the order of the key, so that its index grows at its end and not all over
INSERT INTO {target} ({columns})
SELECT {s_columns}
FROM {stage} AS s
WHERE s.rule IS NULL AND NOT EXISTS (SELECT FROM matched AS m WHERE m.staged = s.ctid)
{in_order};
