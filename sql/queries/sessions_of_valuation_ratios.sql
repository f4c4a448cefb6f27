-- Sessions that have rows, in order.
SELECT DISTINCT session FROM closingbell.valuation_ratios ORDER BY session;
