-- How many landed answers of each session came after 07:00 New York of the next day, past the vendor's corrections.
-- :vendor text, :endpoint text, :keys text[] (ISO dates)
SELECT key, count(*) AS answers
FROM ops.landings
WHERE vendor = :vendor AND endpoint = :endpoint AND key = ANY(CAST(:keys AS text[]))
  AND answered_at >= (CAST(key AS date) + 1 + TIME '07:00') AT TIME ZONE 'America/New_York'
GROUP BY key;
