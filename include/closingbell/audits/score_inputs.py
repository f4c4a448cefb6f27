"""Audit of closingbell.score_inputs: the evidence of each score."""

from closingbell.audits.rules import COMPUTED_COMPLETE, COMPUTED_FULL, TableAudit

AUDIT = TableAudit(
    row_rules={"inputs_is_an_object": "jsonb_typeof(inputs) = 'object'"},
    expectations=(COMPUTED_COMPLETE, COMPUTED_FULL),
)
