-- The newest :periods (integer) quarters of :cik as known at :known_at (timestamptz), newest first, each with when a version in
-- its currency was known first, and what that said. Earnings a share are on the split basis that :security_id has on :session
-- (date): `shares` are there now for one when they were filed.
WITH known AS (
    SELECT f.period_end, f.known_on, f.known_at, f.currency, f.accession_no, f.source_accession_nos, x.shares, f.revenue,
           f.gross_profit, f.operating_income, f.net_income, f.eps_diluted / x.shares AS eps_diluted, f.operating_cash_flow,
           f.free_cash_flow, f.total_assets, f.cash_and_equivalents, f.long_term_debt, f.shareholders_equity, f.net_margin,
           f.debt_to_equity
    FROM closingbell.financials AS f
    CROSS JOIN LATERAL (
        SELECT COALESCE(exp(sum(ln(a.numerator / a.denominator))), 1) AS shares FROM closingbell.corporate_actions AS a
        WHERE a.security_id = :security_id AND a.kind = 'split' AND a.ex_date <= :session
          AND a.ex_date > COALESCE(f.eps_filed_on, f.known_on)
    ) AS x
    WHERE f.cik = :cik AND f.period_type = 'Q' AND f.known_at <= :known_at
), versions AS (
    SELECT k.*, min(k.known_at) OVER of_period AS first_known_at,
           first_value(to_jsonb(k)) OVER (of_period ORDER BY k.known_at, k.known_on) AS first_told,
           row_number() OVER (PARTITION BY k.period_end ORDER BY k.known_at DESC, k.known_on DESC) AS newest
    FROM known AS k
    WINDOW of_period AS (PARTITION BY k.period_end, k.currency)
)
SELECT * FROM versions WHERE newest = 1 ORDER BY period_end DESC LIMIT CAST(:periods AS integer);
