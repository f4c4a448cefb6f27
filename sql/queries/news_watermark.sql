-- Up to when each stream was read by a run that published: {stream: moment} rows. Narrowed runs leave no mark.
SELECT stream, max(CAST(expected ->> 'watermark' AS timestamptz)) AS read_to
FROM ops.stages CROSS JOIN LATERAL jsonb_array_elements_text(expected -> 'streams') AS stream
WHERE table_name = 'news_sightings' AND status = 'published' AND expected ->> 'watermark' IS NOT NULL
GROUP BY stream;
