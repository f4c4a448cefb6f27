"""Audit of closingbell.news_members: which article each copy tells."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit()
