-- The newest version of each statement row known at :as_of (timestamptz), of the last two years.
SELECT DISTINCT ON (cik, period_type, period_end)
       cik, period_end, period_type, known_on, currency, revenue, net_income, shareholders_equity, shares_outstanding,
       shares_filed_on
FROM closingbell.financials
WHERE known_at <= :as_of AND period_end > CAST(:as_of AS date) - 731
ORDER BY cik, period_type, period_end, known_at DESC, known_on DESC;
