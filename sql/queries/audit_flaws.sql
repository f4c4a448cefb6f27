-- One pass over the stage: whether a batch has not the rows that were recorded (a crash of PostgreSQL empties an UNLOGGED
-- table), and what there is to flag: most stages have nothing, and a count is parallel where an UPDATE is not.
WITH found AS (
    SELECT batch_id, count(*) AS rows, count(rule) AS flagged,
           count(*) FILTER (WHERE rule IS DISTINCT FROM split_part(refused, ':', 1)) AS stale,
           count(*) FILTER (WHERE {broken}) AS broken
    FROM {stage} AS s
    GROUP BY batch_id
)
SELECT coalesce(bool_or(coalesce(b.rows, 0) <> coalesce(f.rows, 0)), false) AS lost,
       coalesce(sum(f.flagged), 0) > 0 AS flagged,
       coalesce(sum(f.stale), 0) > 0 AS stale,
       coalesce(sum(f.broken), 0) > 0 AS broken
FROM (SELECT batch_id, rows FROM ops.stage_batches WHERE stage_id = :stage_id) AS b
FULL JOIN found AS f ON f.batch_id = b.batch_id;
