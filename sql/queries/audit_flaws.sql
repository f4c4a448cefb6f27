-- what there is to flag: most stages have nothing, and a count is parallel where an UPDATE is not
SELECT count(*) FILTER (WHERE rule IS DISTINCT FROM split_part(refused, ':', 1)) > 0 AS stale,
       count(*) FILTER (WHERE {broken}) > 0 AS broken
FROM {stage} AS s;
