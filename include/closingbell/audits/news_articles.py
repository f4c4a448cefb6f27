"""Audit of closingbell.news_articles: one story is one article, with all who brought it."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit(row_rules={"brought_by_somebody": "cardinality(vendors) > 0", "title_given": "title <> ''"})
