"""Audit of closingbell.institutional_filings (Form 13F, one row a filing)."""

from closingbell.audits.rules import Expect, TableAudit

AUDIT = TableAudit(
    row_rules={
        "accession_no_shape": "accession_no ~ '^[0-9]{10}-[0-9]{2}-[0-9]{6}$'",
        "is_a_13f": "form ~ '^13F-(HR|NT)(/A)?$'",
        "quarter_ends": "quarter = date_trunc('quarter', quarter) + interval '3 months - 1 day'",
        "filed_after_the_quarter": "filed_on >= quarter",
        "not_known_before_filing": "known_at >= filed_on - interval '10 days'",
        "unit_known": "value_unit IN (1, 1000)",
        "notice_holds_nothing": "left(form, 6) <> '13F-NT' OR rows = 0",
    },
    expectations=(
        Expect(
            name="totals_reconciled",
            query="audit_totals_reconciled",
            severity="warning",
            todo="lines and totals of these filings are not what their summary pages declare; they load as filed",
        ),
        Expect(
            name="most_totals_reconciled",
            query="audit_totals_mostly_reconciled",
            todo="a tenth of the filings disagree with their summary pages: the data set was cut, or has a new shape",
        ),
        Expect(
            name="units_by_rule",
            query="audit_units_by_rule",
            severity="warning",
            todo="the market says that these filers wrote thousands for dollars, or dollars for thousands; taken so",
        ),
    ),
    few_quarantined=20,  # of a day between two data sets there may be one filing
)
