SELECT sum(market_value) AS market_value, sum(market_value) FILTER (WHERE security_id IS NOT NULL) AS mapped
FROM {batch} WHERE put_call IS NULL
HAVING coalesce(sum(market_value) FILTER (WHERE security_id IS NOT NULL), 0) < sum(market_value) / 10
