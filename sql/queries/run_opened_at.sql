SELECT min(opened_at) AS opened_at FROM ops.stages WHERE dag_id = :dag_id AND run_id = :run_id
