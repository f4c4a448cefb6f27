SELECT cusip, min(issuer_name) AS issuer_name, count(*) AS lines, sum(market_value) AS market_value
FROM {batch} WHERE security_id IS NULL GROUP BY cusip ORDER BY 4 DESC NULLS LAST
