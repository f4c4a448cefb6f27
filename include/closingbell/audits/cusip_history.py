"""Audit of closingbell.cusip_history."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit(row_rules={"cusip_has_nine_signs": "cusip ~ '^[0-9A-Z*@#]{9}$'", "ticker_given": "ticker <> ''"})
