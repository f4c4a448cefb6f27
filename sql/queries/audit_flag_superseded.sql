-- between landings the later one wins, among the rows that no rule took
UPDATE {stage} AS s
SET rule = 'superseded'
FROM (
    SELECT ctid AS row_id,
           row_number() OVER (PARTITION BY {key} ORDER BY fetched_at DESC, landing_id DESC NULLS LAST) AS number
    FROM {stage}
    WHERE rule IS NULL
) AS d
WHERE s.ctid = d.row_id AND d.number > 1;
