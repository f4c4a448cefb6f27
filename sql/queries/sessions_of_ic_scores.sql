-- Sessions that have rows, in order.
SELECT DISTINCT session FROM closingbell.ic_scores ORDER BY session;
