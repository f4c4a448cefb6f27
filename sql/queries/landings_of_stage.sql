-- The landings that the batches of a stage were read from. One that could not be read says nothing about its rows.
SELECT l.landing_id
FROM ops.landings AS l
WHERE l.landing_id IN (SELECT unnest(landing_ids) FROM ops.stage_batches WHERE stage_id = :stage_id)
  AND NOT EXISTS (SELECT FROM ops.fetch_failures AS f
                  WHERE f.vendor = l.vendor AND f.endpoint = l.endpoint AND f.key = l.key AND f.resolved_at IS NULL);
