-- The staged rows whose key is in the table. yields: null where the content is the same, false where the table's row is
-- of a later landing. A row is tableoid and ctid: of a partitioned table (TimescaleDB) each part counts its ctids by itself.
CREATE TEMPORARY TABLE matched ON COMMIT DROP AS
SELECT s.ctid AS staged, t.tableoid AS part, t.ctid AS published,
       CASE WHEN ROW({s_compared}) IS DISTINCT FROM ROW({t_compared})
            THEN (:derived OR s.landing_id = t.landing_id
                  OR ((t.fetched_at, coalesce(t.landing_id, 0)) <= (s.fetched_at, coalesce(s.landing_id, 0))
                      AND (s.landing_id IS NULL OR s.landing_id <> ALL(CAST(:overtaken AS bigint[]))))) IS TRUE
       END AS yields
FROM {stage} AS s
JOIN {target} AS t ON {same_key}
WHERE s.rule IS NULL;
