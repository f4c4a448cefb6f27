-- Rows of the stage that the table has not; how many, and the landings they are from.
WITH inserted AS (
    INSERT INTO {target} ({columns})
    SELECT {s_columns}
    FROM {stage} AS s
    WHERE s.rule IS NULL AND NOT EXISTS (SELECT FROM {target} AS t WHERE {same_key})
    RETURNING {landing} AS landing_id
), counted AS (
    SELECT landing_id, count(*) AS inserted FROM inserted GROUP BY landing_id
)
SELECT coalesce(sum(inserted), 0)::bigint, coalesce(array_agg(landing_id) FILTER (WHERE landing_id IS NOT NULL), '{{}}')
FROM counted;
