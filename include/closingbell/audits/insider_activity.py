"""Audit of closingbell.insider_activity."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit(
    row_rules={
        "known_by_session": "known_at < session + interval '1 day'",
        "counts_not_negative": "least(buys_30d, sells_30d, buyers_30d, sellers_30d, unpriced_30d) >= 0",
        "people_trade": "buyers_30d <= buys_30d AND sellers_30d <= sells_30d "
        "AND buyers_90d <= buys_90d AND sellers_90d <= sells_90d",
        "longer_window_has_more": "buys_30d <= buys_90d AND sells_30d <= sells_90d",
        "session_on_a_weekday": "date_part('isodow', session) < 6",
    },
)
