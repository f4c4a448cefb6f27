"""Audit of closingbell.valuation_ratios."""

from closingbell.audits.rules import COMPUTED_COMPLETE, COMPUTED_FULL, TableAudit

AUDIT = TableAudit(
    row_rules={
        "close_positive": "close > 0",
        "shares_positive": "shares_outstanding > 0",
        "market_cap_positive": "market_cap > 0",
        "pe_only_on_earnings": "pe_ratio > 0",
        "statement_known_by_session": "statement_known_on <= session",
    },
    expectations=(COMPUTED_COMPLETE, COMPUTED_FULL),
)
