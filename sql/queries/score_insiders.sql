-- Open-market trading of insiders of the sessions from :oldest (the oldest that a score may still stand on) to :last (dates).
SELECT security_id, session, known_at, net_value_30d, unpriced_30d, buyers_30d, net_value_90d, unpriced_90d, filings_from
FROM closingbell.insider_activity WHERE session BETWEEN :oldest AND :last;
