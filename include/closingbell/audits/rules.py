"""What an audit of a table is made of, as data: row rules, and expectations that Great Expectations decides on.

A row rule is a predicate that must hold (null passes, as in a CHECK); a row that breaks it goes to ops.quarantine under
the rule's name. An expectation is a query of sql/queries that finds what must not be; it reads {batch}, the rows that
no rule took, and may join ops.stages.expected by {stage_id}.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, kw_only=True)
class Expect:
    """An expectation: critical stops the publish, warning publishes and shows. `todo` says what an operator does.

    whole: the query's {whole}: nothing that is expected may be missing.
    """

    name: str
    query: str
    whole: bool = False
    severity: Severity = "critical"
    todo: str


@dataclass(frozen=True, kw_only=True)
class TableAudit:
    """The audit of one table. More than a share of `max_quarantined` rows taken by rules stops the publish.

    few_quarantined: as many never stop it: of a small run one odd row may be half.
    """

    row_rules: dict[str, str] = field(default_factory=dict)
    expectations: tuple[Expect, ...] = ()
    max_quarantined: float = 0.05
    few_quarantined: int = 0


SESSIONS_COMPLETE = Expect(
    name="sessions_complete",
    query="audit_sessions_complete",
    todo=(
        "a session has too few of the shares that traded before it: wait for the vendor, then clear `open` with what "
        "follows it; old sessions that stay so: run with *Full*, what two final answers lack stands"
    ),
)
COMPUTED_COMPLETE = Expect(
    name="sessions_complete",
    query="audit_sessions_complete",
    todo=(
        "too few of the shares that traded in a session have a row: mend what it is computed from (*Loads* of "
        "market_close and sec_financials), then run it again"
    ),
)
SESSIONS_FULL = Expect(
    name="sessions_full",
    query="audit_sessions_complete",
    whole=True,
    severity="warning",
    todo="some expected securities have no row in a session: halted, delisted, or missing at the vendor",
)
COMPUTED_FULL = Expect(
    name="sessions_full",
    query="audit_sessions_complete",
    whole=True,
    severity="warning",
    todo="some shares that traded in a session have no row: too new, or nothing is known of their companies",
)
COMPANIES_COMPLETE = Expect(
    name="companies_complete",
    query="audit_companies_complete",
    todo="too few of the companies asked for gave a row: read ops.fetch_failures, clear the land tasks",
)
COMPANIES_FULL = Expect(
    name="companies_full",
    query="audit_companies_full",
    severity="warning",
    todo="some companies gave no row: they report nothing mapped, or their answer failed (ops.fetch_failures)",
)

# what every table is asked, whatever its rules
COMMON = (
    Expect(name="key_unique", query="audit_key_unique", todo="two rows of one key passed: a bug of the audit"),
    Expect(
        name="batches_staged",
        query="audit_batches_staged",
        todo="planned batches were never staged: clear the stage tasks that are not green",
    ),
    Expect(
        name="rows_enough",
        query="audit_rows_enough",
        todo="fewer rows than the run must give: look at the landed answers and at ops.quarantine",
    ),
    Expect(
        name="quarantined_share",
        query="audit_quarantined_share",
        todo="too many rows broke a rule: read ops.quarantine of this stage, then fix the parser or the rule",
    ),
    Expect(
        name="nothing_quarantined",
        query="audit_nothing_quarantined",
        severity="warning",
        todo="some rows broke a rule and stay out: read ops.quarantine of this stage",
    ),
)
