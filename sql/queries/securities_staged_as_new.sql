-- Securities whose missing history was looked for in answers landed before, by runs that published.
SELECT DISTINCT CAST(jsonb_array_elements_text(expected -> 'new') AS bigint) AS security_id
FROM ops.stages WHERE table_name = 'stock_prices' AND status = 'published' AND expected ? 'new';
