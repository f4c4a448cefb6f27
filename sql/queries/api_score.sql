-- The score of :security_id on :session (date), the newest one where that is NULL.
SELECT * FROM closingbell.ic_scores
WHERE security_id = :security_id
  AND session BETWEEN COALESCE(CAST(:session AS date), '-infinity') AND COALESCE(CAST(:session AS date), 'infinity')
ORDER BY session DESC LIMIT 1;
