"""Audit of closingbell.news_sentiment: every score on its scale, whoever gave it."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit(
    row_rules={
        "score_on_scale": "score BETWEEN -1 AND 1",
        "relevance_is_a_share": "relevance BETWEEN 0 AND 1",
        "impact_is_a_share": "impact BETWEEN 0 AND 1",
    },
)
