"""Audit of closingbell.class_shares (vendors' reference details of one ticker)."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit(row_rules={"security_id_positive": "security_id > 0", "shares_positive": "shares > 0"})
