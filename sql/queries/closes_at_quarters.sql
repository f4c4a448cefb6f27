-- Unadjusted closes of the last session of each of :quarters (date[]), a week before its end at most.
SELECT DISTINCT ON (security_id, q.quarter) security_id, q.quarter, close
FROM unnest(CAST(:quarters AS date[])) AS q (quarter)
JOIN closingbell.stock_prices ON session BETWEEN q.quarter - 7 AND q.quarter
WHERE adjusted_as_of IS NULL
ORDER BY security_id, q.quarter, session DESC;
