"""Audit of closingbell.securities (SEC's ticker list, vendors' reference tickers)."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit(
    row_rules={
        "security_id_positive": "security_id > 0",
        "type_given": "type <> ''",
        "listing_in_order": "last_session >= first_session",
        "shares_per_base_positive": "shares_per_base > 0",
    },
)
