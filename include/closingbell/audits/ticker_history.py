"""Audit of closingbell.ticker_history: a ticker is one security's at a time."""

from closingbell.audits.rules import Expect, TableAudit

AUDIT = TableAudit(
    row_rules={
        "ticker_is_a_word": "ticker ~ '^[A-Za-z0-9][A-Za-z0-9.^=/-]*$'",
        "period_in_order": "valid_to >= valid_from - 1",  # the day before: the interval never was
    },
    expectations=(
        Expect(
            name="tickers_do_not_overlap",
            query="audit_tickers_do_not_overlap",
            severity="warning",
            todo="one ticker is two securities' at a time: end the older one, or map it by an override (map_ticker)",
        ),
    ),
)
