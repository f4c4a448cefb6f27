"""Audit of closingbell.filings (SEC submissions): when each filing became known."""

from closingbell.audits.rules import COMPANIES_COMPLETE, COMPANIES_FULL, TableAudit

AUDIT = TableAudit(
    row_rules={
        "accession_no_shape": "accession_no ~ '^[0-9]{10}-[0-9]{2}-[0-9]{6}$'",
        "form_given": "form <> ''",
        # accepted after 17:30 on a Friday before a long weekend is dated four days later; more is a wrong year
        "known_near_filing": "known_at BETWEEN filed_on - interval '10 days' AND filed_on + interval '10 days'",
        "source_known": "known_at_source IN ('acceptance_utc', 'acceptance_new_york', 'filed_on_22')",
    },
    expectations=(COMPANIES_COMPLETE, COMPANIES_FULL),
)
