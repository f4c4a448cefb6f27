"""Audit of closingbell.institutional_ownership."""

from closingbell.audits.rules import Expect, TableAudit

AUDIT = TableAudit(
    row_rules={
        "quarter_is_over": "session > quarter",
        "known_by_the_session": "known_at < session + interval '1 day'",
        "counts_not_negative": "holders >= 0 AND shares >= 0 AND market_value >= 0",
        "no_more_holders_than_filers": "holders <= filers",
    },
    expectations=(
        Expect(
            name="owned_less_than_all",
            query="audit_owned_less_than_all",
            severity="warning",
            todo="institutions report more than all shares of these: lent shares count twice, or a split is missing",
        ),
    ),
)
