-- The newest bar of :security_id with the close before it, on its split basis, and the session's valuation.
SELECT p.session, p.open, p.high, p.low, p.close, p.volume, p.vwap, p.trades, p.source, p.final, p.fetched_at,
       b.session AS previous_session, b.close / COALESCE(x.factor, 1) AS previous_close,
       v.market_cap, v.pe_ratio, v.pb_ratio, v.ps_ratio
FROM closingbell.stock_prices AS p
LEFT JOIN LATERAL (
    SELECT q.session, q.close FROM closingbell.stock_prices AS q
    WHERE q.security_id = p.security_id AND q.session < p.session ORDER BY q.session DESC LIMIT 1
) AS b ON true
LEFT JOIN LATERAL (
    SELECT exp(sum(ln(a.numerator / a.denominator))) AS factor FROM closingbell.corporate_actions AS a
    WHERE a.security_id = p.security_id AND a.kind IN ('split', 'spin_off') AND a.ex_date > b.session AND a.ex_date <= p.session
) AS x ON true
LEFT JOIN closingbell.valuation_ratios AS v ON v.security_id = p.security_id AND v.session = p.session
WHERE p.security_id = :security_id
ORDER BY p.session DESC LIMIT 1;
