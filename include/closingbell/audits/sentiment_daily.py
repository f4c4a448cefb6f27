"""Audit of closingbell.sentiment_daily: what the news of 7 and 30 days said of a security at a close."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit(
    row_rules={
        "means_on_scale": "abs(sentiment_7d) <= 1.000001 AND abs(sentiment_30d) <= 1.000001",
        "windows_nest": "articles_7d BETWEEN 0 AND articles_30d AND articles_30d > 0",
        "nothing_later_than_the_close": "last_published_at <= known_at AND hours_since >= 0",
    },
)
