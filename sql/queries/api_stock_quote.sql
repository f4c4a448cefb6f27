-- What a share of :security_id cost at the close of :session (date), with the raw answer that the bar is from.
SELECT p.session, p.close, p.source, p.adjusted_as_of, p.final, p.fetched_at, l.sha256,
       v.market_cap, v.pe_ratio, v.pb_ratio, v.ps_ratio, v.statement_period_end, v.statement_known_on
FROM closingbell.stock_prices AS p
LEFT JOIN closingbell.valuation_ratios AS v ON v.security_id = p.security_id AND v.session = p.session
LEFT JOIN ops.landings AS l ON l.landing_id = p.landing_id
WHERE p.security_id = :security_id AND p.session <= :session
ORDER BY p.session DESC LIMIT 1;
