-- Versions of statement rows that sessions :first (date) to one that closes at :last_close (timestamptz) can see:
-- the version known at :first_close (timestamptz) of each, and every later one. For one session both closes are the
-- same, and this is the as-of definition. Quarters are read for three years (the newest, and how often a company
-- reports), the flows of growth for seven (500 days of age, five years and some slack).
WITH wanted AS (
    SELECT cik, period_end, period_type, known_on, known_at, currency, eps_filed_on, revenue, eps_diluted,
           free_cash_flow, short_term_debt, long_term_debt, shareholders_equity, gross_margin,
           operating_margin, net_margin, roe, roa, debt_to_equity, current_ratio, interest_coverage
    FROM closingbell.financials
    WHERE known_at <= :last_close
      AND period_end > CAST(:first AS date) - CASE WHEN period_type = 'Q' THEN 1095 ELSE 2500 END
)
(SELECT DISTINCT ON (cik, period_type, period_end) *
 FROM wanted WHERE known_at <= :first_close
 ORDER BY cik, period_type, period_end, known_at DESC, known_on DESC)
UNION ALL
SELECT * FROM wanted WHERE known_at > :first_close;
