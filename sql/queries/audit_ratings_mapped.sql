-- more than one rating in ten under a ticker that nobody bore on its day
SELECT count(*) AS ratings, count(*) FILTER (WHERE security_id IS NULL) AS unmapped
FROM {batch}
HAVING count(*) FILTER (WHERE security_id IS NULL) > 0.1 * count(*)
