-- {cited}: the landing_ids of every published row, which keep the answer that gave them first
DELETE FROM ops.landings AS l
WHERE l.fetched_at < clock_timestamp() - make_interval(days => :days)
  AND EXISTS (SELECT FROM ops.landings AS newer
              WHERE newer.vendor = l.vendor AND newer.endpoint = l.endpoint AND newer.key = l.key
                AND (newer.fetched_at, newer.landing_id) > (l.fetched_at, l.landing_id))
  AND NOT EXISTS (SELECT FROM ({cited}) AS cited WHERE cited.landing_id = l.landing_id)
RETURNING l.landing_id, l.path;
