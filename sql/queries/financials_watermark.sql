-- The last day whose index was read by a run that published its statements (its last table), and the days before it whose
-- index it could not read; when it had read what was landed of the days before, and whether there are any facts at all.
WITH published AS (
    SELECT expected, opened_at FROM ops.stages
    WHERE table_name = 'financials' AND status = 'published' AND expected ? 'watermark'
),
newest AS (SELECT expected FROM published ORDER BY expected ->> 'watermark' DESC, opened_at DESC LIMIT 1)
SELECT max(expected ->> 'watermark') AS watermark, max(opened_at) AS read_at,
       ARRAY(SELECT jsonb_array_elements_text(expected -> 'unread') FROM newest) AS unread,
       EXISTS (SELECT FROM closingbell.financial_facts) AS filled
FROM published;
