"""Audit of closingbell.stock_prices (daily bars, PITFALLS 24: grouped bars contain garbage)."""

from closingbell.audits.rules import SESSIONS_COMPLETE, SESSIONS_FULL, TableAudit

# vendors round each price by itself, so a high may lie a rounding below the close
AUDIT = TableAudit(
    row_rules={
        "prices_positive": "open > 0 AND high > 0 AND low > 0 AND close > 0",
        "high_is_highest": "high >= greatest(open, close, low) * 0.999",
        "low_is_lowest": "low <= least(open, close, high) * 1.001",
        "volume_not_negative": "volume >= 0",
        "trades_not_negative": "trades >= 0",
        "session_on_a_weekday": "date_part('isodow', session) < 6",
        "session_not_in_future": "session <= fetched_at + interval '1 day'",
    },
    expectations=(SESSIONS_COMPLETE, SESSIONS_FULL),
)
