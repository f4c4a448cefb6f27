"""Audit of closingbell.institutional_holdings (Form 13F, one row a line of an information table)."""

from closingbell.audits.rules import Expect, TableAudit

AUDIT = TableAudit(
    row_rules={
        "cusip_has_nine_signs": "length(cusip) = 9",
        "option_is_put_or_call": "put_call IN ('put', 'call')",
        "shares_not_negative": "shares >= 0",
        "principal_not_negative": "principal >= 0",
        "value_not_negative": "market_value >= 0",
        "shares_or_principal": "num_nulls(shares, principal) = 1",  # none: the amount written is no number
        "value_is_a_number": "market_value IS NOT NULL",
    },
    expectations=(
        Expect(
            name="cusips_mapped",
            query="audit_cusips_mapped",
            severity="info",
            todo="largest CUSIPs without a security: funds and bonds have none; map a stock by an override (map_cusip)",
        ),
        Expect(
            name="stocks_mapped",
            query="audit_stocks_mapped",
            severity="warning",
            todo="under a tenth of the value has a security: load the universe and the fails-to-deliver files first, "
            "then run again with full",
        ),
    ),
    few_quarantined=20,  # a single filing has few lines, and one odd CUSIP may be more than the share
)
