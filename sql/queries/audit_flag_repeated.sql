-- within one landing: the same content again is a duplicate, another content is a conflict that nobody can decide
UPDATE {stage} AS s
SET rule = CASE WHEN d.conflicting THEN 'conflicting_key' ELSE 'duplicate' END
FROM (
    SELECT ctid AS row_id, first_content <> last_content AS conflicting, number
    FROM (
        SELECT ctid, min(content) OVER same AS first_content, max(content) OVER same AS last_content,
               row_number() OVER (PARTITION BY {key}, landing_id ORDER BY batch_id, ctid) AS number
        FROM (SELECT ctid, batch_id, landing_id, {key}, hash_record_extended(ROW({compared}), 0) AS content FROM {stage}) AS h
        WINDOW same AS (PARTITION BY {key}, landing_id)
    ) AS w
    WHERE number > 1 OR first_content <> last_content
) AS d
WHERE s.ctid = d.row_id AND s.rule IS NULL;
