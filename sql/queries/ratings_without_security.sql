-- Published ratings of nobody that was known when they were loaded, with their lineage.
SELECT * FROM closingbell.analyst_ratings WHERE security_id IS NULL ORDER BY vendor, rating_id;
