-- The newest bar of :security_id with the close before it, on its split basis, and the session's valuation. A bar is on the
-- basis of its day, or of the later one that its vendor adjusted it to.
SELECT p.session, p.open, p.high, p.low, p.close, p.volume, p.vwap, p.trades, p.source, p.adjusted_as_of, p.final, p.fetched_at,
       b.session AS previous_session, b.close / COALESCE(x.factor, 1) AS previous_close,
       v.market_cap, v.pe_ratio, v.pb_ratio, v.ps_ratio
FROM (
    SELECT *, GREATEST(session, adjusted_as_of) AS basis FROM closingbell.stock_prices
    WHERE security_id = :security_id ORDER BY session DESC LIMIT 1
) AS p
LEFT JOIN LATERAL (
    SELECT q.session, q.close, GREATEST(q.session, q.adjusted_as_of) AS basis FROM closingbell.stock_prices AS q
    WHERE q.security_id = p.security_id AND q.session < p.session ORDER BY q.session DESC LIMIT 1
) AS b ON true
LEFT JOIN LATERAL (
    SELECT exp(sum(sign(p.basis - b.basis) * ln(a.numerator / a.denominator))) AS factor FROM closingbell.corporate_actions AS a
    WHERE a.security_id = p.security_id AND a.kind IN ('split', 'spin_off')
      AND a.ex_date > LEAST(b.basis, p.basis) AND a.ex_date <= GREATEST(b.basis, p.basis)
) AS x ON true
LEFT JOIN closingbell.valuation_ratios AS v ON v.security_id = p.security_id AND v.session = p.session;
