-- in the order of the key: an index that grows at its end takes a third less time than one that grows all over
INSERT INTO {target} ({columns})
SELECT {s_columns}
FROM {stage} AS s
WHERE s.rule IS NULL AND NOT EXISTS (SELECT FROM matched AS m WHERE m.staged = s.ctid)
ORDER BY {s_key};
