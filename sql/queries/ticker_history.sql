-- Who bore which ticker when; an operator's map_ticker overrides stand in front of the vendors' intervals.
WITH mapped AS (
    SELECT subject ->> 'ticker' AS ticker, CAST(subject ->> 'valid_from' AS date) AS valid_from,
           CAST(subject ->> 'security_id' AS bigint) AS security_id
    FROM ops.overrides WHERE kind = 'map_ticker' AND ended_at IS NULL
)
SELECT ticker, valid_from, valid_to, security_id FROM (
    SELECT h.ticker, h.valid_from,
           CASE WHEN m.valid_from <= COALESCE(h.valid_to, 'infinity') THEN m.valid_from - 1 ELSE h.valid_to END AS valid_to,
           h.security_id
    FROM closingbell.ticker_history h LEFT JOIN mapped m USING (ticker)
    UNION ALL SELECT ticker, valid_from, NULL, security_id FROM mapped
) AS history
WHERE valid_to IS NULL OR valid_to >= valid_from
ORDER BY ticker, valid_from;
