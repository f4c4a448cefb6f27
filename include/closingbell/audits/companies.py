"""Audit of closingbell.companies (SEC submissions, GICS sectors of the S&P 500 list, SIC)."""

from closingbell.audits.rules import COMPANIES_COMPLETE, COMPANIES_FULL, TableAudit

SECTORS = (
    "'Energy', 'Materials', 'Industrials', 'Consumer Discretionary', 'Consumer Staples', 'Health Care', 'Financials', "
    "'Information Technology', 'Communication Services', 'Utilities', 'Real Estate'"
)

AUDIT = TableAudit(
    row_rules={
        "cik_positive": "cik > 0",
        "name_given": "name <> ''",
        "sector_is_gics": f"sector IN ({SECTORS})",
        "sector_has_source": "sector IS NULL OR sector_source IS NOT NULL",
        "fiscal_year_end_is_mmdd": "fiscal_year_end ~ '^(0[1-9]|1[0-2])[0-3][0-9]$'",
    },
    expectations=(COMPANIES_COMPLETE, COMPANIES_FULL),
)
