-- Companies of the universe when a run with a watermark was planned: asked for since, or found without a new filing.
SELECT DISTINCT CAST(jsonb_array_elements_text(expected -> 'universe') AS bigint) AS cik
FROM ops.stages WHERE table_name = 'financials' AND status = 'published' AND expected ? 'universe';
