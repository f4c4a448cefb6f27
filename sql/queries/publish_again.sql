-- Landings that were published before and give rows now that the table has not; most landings are new.
SELECT coalesce(array_agg(DISTINCT s.landing_id), '{{}}')
FROM {stage} AS s
WHERE EXISTS (SELECT FROM landed JOIN ops.published_landings USING (landing_id) WHERE table_name = :table)
  AND s.rule IS NULL AND s.landing_id IN (SELECT landing_id FROM ops.published_landings WHERE table_name = :table)
  AND NOT EXISTS (SELECT FROM matched AS m WHERE m.staged = s.ctid);
