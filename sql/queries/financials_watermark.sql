-- The last day whose index was read by a run that published its statements (its last table), when it had read what was landed of the days
-- before, and whether there are any facts at all.
SELECT max(expected ->> 'watermark') AS watermark, max(opened_at) FILTER (WHERE expected ? 'watermark') AS read_at, EXISTS (SELECT FROM closingbell.financial_facts) AS filled
FROM ops.stages WHERE table_name = 'financials' AND status = 'published';
