"""Audit of closingbell.financials (statement rows Q, FY and TTM)."""

from closingbell.audits.rules import COMPANIES_COMPLETE, COMPANIES_FULL, TableAudit

AUDIT = TableAudit(
    row_rules={
        "accession_no_shape": "accession_no ~ '^[0-9]{10}-[0-9]{2}-[0-9]{6}$'",
        "period_type_known": "period_type IN ('Q', 'FY', 'TTM')",
        "period_in_order": "period_start <= period_end",
        "not_known_before_its_end": "known_on >= period_end",
        "not_known_before_filing": "known_at >= known_on - interval '10 days'",
        "fiscal_quarter_in_range": "fiscal_quarter BETWEEN 1 AND 4",
        "currency_is_iso": "currency ~ '^[A-Z]{3}$'",
        "sources_given": "cardinality(source_accession_nos) > 0",
        "shares_not_negative": "shares_outstanding >= 0",
        "assets_not_negative": "total_assets >= 0 AND current_assets >= 0",
        "debt_not_negative": "short_term_debt >= 0 AND long_term_debt >= 0",
    },
    expectations=(COMPANIES_COMPLETE, COMPANIES_FULL),
)
