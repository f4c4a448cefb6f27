-- How many bars each session of :first to :last (dates) has, and how many of them the vendor may still correct.
SELECT session, count(*) AS bars, count(*) FILTER (WHERE NOT final) AS provisional
FROM closingbell.stock_prices WHERE session BETWEEN :first AND :last GROUP BY session ORDER BY session;
