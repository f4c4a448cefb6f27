-- landings of this stage that a published one, newer and not staged here, answered again: they add rows, change none
SELECT DISTINCT l.landing_id
FROM landed AS s
JOIN ops.landings AS l ON l.landing_id = s.landing_id
WHERE EXISTS (
    SELECT FROM ops.landings AS newer
    JOIN ops.published_landings AS p ON p.landing_id = newer.landing_id AND p.table_name = :table
    WHERE newer.vendor = l.vendor AND newer.endpoint = l.endpoint AND newer.key = l.key
      AND (newer.fetched_at, newer.landing_id) > (l.fetched_at, l.landing_id)
      AND NOT EXISTS (SELECT FROM ops.stage_batches AS b WHERE b.stage_id = :stage_id AND newer.landing_id = ANY(b.landing_ids))
);
