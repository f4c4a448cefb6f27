"""Audit of closingbell.financial_facts (SEC company facts)."""

from closingbell.audits.rules import COMPANIES_COMPLETE, COMPANIES_FULL, TableAudit

AUDIT = TableAudit(
    row_rules={
        "accession_no_shape": "accession_no ~ '^[0-9]{10}-[0-9]{2}-[0-9]{6}$'",
        "unit_given": "unit <> ''",
        "period_in_order": "period_start <= period_end",
        "not_known_before_filing": "known_at >= filed_on - interval '10 days'",
        "filed_in_edgar_times": "filed_on >= DATE '1993-01-01'",
    },
    expectations=(COMPANIES_COMPLETE, COMPANIES_FULL),
)
