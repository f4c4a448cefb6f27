"""Audit of closingbell.index_members (S&P 500 list; the operator's Fortune 500 file)."""

from closingbell.audits.rules import Expect, TableAudit

AUDIT = TableAudit(
    row_rules={
        "index_known": "index_name IN ('sp500', 'fortune500')",
        "period_in_order": "valid_to >= valid_from - 1",  # the day before: a member of no day
        "rank_in_range": "rank BETWEEN 1 AND 1000",
        "fortune500_has_rank": "index_name <> 'fortune500' OR rank IS NOT NULL",
    },
    expectations=(
        Expect(
            name="members_stay",
            query="audit_members_vanished",
            todo="the S&P 500 list came cut, and would end memberships: look at the landed answer, then clear open",
        ),
    ),
)
