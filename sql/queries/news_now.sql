-- The vendors' clock of the last run that asked for news.
SELECT max(CAST(expected ->> 'now' AS timestamptz)) AS now
FROM ops.stages WHERE table_name = 'news_sightings' AND status = 'published';
