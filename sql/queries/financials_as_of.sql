-- Every period's newest version at a moment, by company. :as_of timestamptz, :ciks bigint[] (NULL: all)
SELECT DISTINCT ON (cik, period_type, period_end)
    cik, period_type, period_end, known_on, known_at, period_start, fiscal_year, fiscal_quarter, currency,
    accession_no, source_accession_nos, eps_filed_on, shares_filed_on,
    revenue, cost_of_revenue, gross_profit, operating_expenses, operating_income, interest_expense, net_income,
    eps_basic, eps_diluted, shares_outstanding, total_assets, total_liabilities, current_assets, current_liabilities,
    inventory, shareholders_equity, cash_and_equivalents, short_term_debt, long_term_debt, operating_cash_flow,
    investing_cash_flow, financing_cash_flow, capex, free_cash_flow, dividends_paid,
    gross_margin, operating_margin, net_margin, roe, roa, roic, debt_to_equity, current_ratio, quick_ratio,
    interest_coverage
FROM closingbell.financials
WHERE known_at <= :as_of AND (CAST(:ciks AS bigint[]) IS NULL OR cik = ANY(CAST(:ciks AS bigint[])))
ORDER BY cik, period_type, period_end, known_at DESC, known_on DESC;
