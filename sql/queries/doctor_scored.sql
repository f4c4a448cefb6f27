-- Sessions that have scores, from :first (date) on.
SELECT DISTINCT session FROM closingbell.ic_scores WHERE session >= :first ORDER BY session;
