-- Plans of runs that published, or were given up, more than :hours ago; the plan stands with the first table's stage,
-- and is needed while another table's of the run is unpublished.
DELETE FROM ops.planned_batches p USING ops.stages s
WHERE s.stage_id = p.stage_id AND s.status IN ('published', 'abandoned')
  AND greatest(s.opened_at, s.published_at) < clock_timestamp() - make_interval(hours => :hours)
  AND NOT EXISTS (SELECT FROM ops.stages o
                  WHERE (o.dag_id, o.run_id) = (s.dag_id, s.run_id) AND o.status IN ('open', 'audited'));
