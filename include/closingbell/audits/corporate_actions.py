"""Audit of closingbell.corporate_actions (splits, spin-offs and dividends, PITFALLS 20: wrong splits)."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit(
    row_rules={
        "kind_known": "kind IN ('split', 'spin_off', 'dividend')",
        "split_has_fraction": "kind = 'dividend' OR coalesce(numerator > 0 AND denominator > 0, false)",
        "split_changes_shares": "kind = 'dividend' OR numerator <> denominator",
        "split_is_credible": "kind = 'dividend' OR numerator / nullif(denominator, 0) BETWEEN 0.0001 AND 10000",
        "dividend_has_amount": "kind <> 'dividend' OR coalesce(amount > 0, false)",
    },
)
