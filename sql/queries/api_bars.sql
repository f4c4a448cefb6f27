-- A page of the bars of :security_id from :first to :last (dates), in order, as their vendor gave them, and `total`.
WITH bars AS (
    SELECT session, open, high, low, close, volume, vwap, trades, source, adjusted_as_of, final
    FROM closingbell.stock_prices
    WHERE security_id = :security_id AND session BETWEEN COALESCE(CAST(:first AS date), '-infinity')
                                                     AND COALESCE(CAST(:last AS date), 'infinity')
)
SELECT t.total, p.*
FROM (SELECT count(*) AS total FROM bars) AS t
LEFT JOIN (
    SELECT * FROM bars ORDER BY session LIMIT CAST(:limit AS integer) OFFSET CAST(:offset AS integer)
) AS p ON true
ORDER BY p.session;
