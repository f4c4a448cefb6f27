-- When each dataset of a session was published, first and last: by runs of that session, and by those of a range.
SELECT l.dataset, max(l.loaded_at) AS loaded_at, min(l.loaded_at) AS first_loaded_at, sum(l.rows_in)::bigint AS rows_in
FROM ops.load_ledger l LEFT JOIN ops.stages s USING (stage_id)
WHERE l.partition_key = :session OR jsonb_exists(s.expected -> 'sessions', :session)
GROUP BY l.dataset
