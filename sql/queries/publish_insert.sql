-- What is staged by sessions and keyed by securities comes in the order of the key, so that its index grows at its end and
-- not all over; every other table is staged in runs of its key as it is.
INSERT INTO {target} ({columns})
SELECT {s_columns}
FROM {stage} AS s
WHERE s.rule IS NULL AND NOT EXISTS (SELECT FROM matched AS m WHERE m.staged = s.ctid)
{in_order};
