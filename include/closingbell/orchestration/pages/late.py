"""Why a session's board is late: the chain from the close to the scores, step by step, and what to do at the first gap.

In: what the warehouse published for the session and what Airflow ran for it. Out: steps. Reads no clock and no
database; `closingbell.orchestration.pages` gathers the facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["done", "running", "waiting", "failed", "missing"]

TABLES = ("stock_prices", "technical_indicators", "valuation_ratios")
CHAIN = ("market_close", "scores_and_recommendations")


@dataclass(frozen=True)
class DagRun:
    """The newest run of a DAG for the session: its state, and the tasks of it that failed or wait for a retry."""

    dag_id: str
    run_id: str
    state: str
    start: datetime | None
    failed_tasks: Sequence[str] = ()
    waiting_tasks: Sequence[str] = ()


@dataclass(frozen=True)
class Facts:
    """What is known of one session. published: dataset -> when last, first_published: when first. runs: by DAG. stale:
    why its scores are older than what they are made of."""

    session: str
    now: datetime
    closes: datetime
    due: datetime
    scores_due: datetime
    published: Mapping[str, datetime]
    first_published: Mapping[str, datetime]
    runs: Mapping[str, DagRun]
    paused: frozenset[str] = frozenset()
    market_ended: bool = False
    stale: Sequence[str] = ()


@dataclass(frozen=True)
class Step:
    """One line of the page."""

    name: str
    state: State
    what: str
    do: str = ""
    run: DagRun | None = None
    late: bool = False


def steps(facts: Facts) -> list[Step]:
    """The chain in order; what follows the first step that is not done is `missing` or `waiting`."""
    found = [_close(facts), _run(facts, "market_close")]
    found += [_table(facts, table, "market_close") for table in TABLES]
    found += [_run(facts, "scores_and_recommendations"), _table(facts, "ic_scores", "scores_and_recommendations")]
    return found


def verdict(facts: Facts, chain: Sequence[Step]) -> Step:
    """The step that answers the question: the first failed one, else the first that is not done, else the last."""
    failed = next((step for step in chain if step.state == "failed"), None)
    return failed or next((step for step in chain if step.state != "done"), chain[-1])


def _close(facts: Facts) -> Step:
    if facts.now < facts.closes:
        return Step("Close", "waiting", f"{facts.session} closes at {facts.closes:%Y-%m-%d %H:%M} UTC", "Wait.")
    if facts.now < facts.due:
        return Step("Close", "waiting", f"Closed; the run starts at {facts.due:%H:%M} UTC", "Wait.")
    return Step("Close", "done", f"Closed at {facts.closes:%Y-%m-%d %H:%M} UTC")


def _run(facts: Facts, dag_id: str) -> Step:
    run = facts.runs.get(dag_id)
    paused = dag_id in facts.paused
    if run is None:
        return _no_run(facts, dag_id, paused)
    if run.state == "success":
        return Step(dag_id, "done", f"Run {run.run_id} succeeded", run=run)
    if run.state == "failed":
        tasks = ", ".join(run.failed_tasks) or "no task"
        do = "Open the run, read the failed task's log and the DAG's Docs ('When it fails'), then clear the task."
        return Step(dag_id, "failed", f"Run {run.run_id} failed in {tasks}", do, run)
    if paused:
        return Step(dag_id, "failed", f"{dag_id} is paused with a run that is {run.state}", "Unpause the DAG.", run)
    if run.waiting_tasks:
        tasks = ", ".join(run.waiting_tasks)
        do = "Its log says for what: the vendor, a quota and when it resets, or who else writes the session."
        return Step(dag_id, "waiting", f"{tasks} waits", do, run)
    started = f" since {run.start:%H:%M} UTC" if run.start else ""
    return Step(dag_id, "running", f"Run {run.run_id} is {run.state}{started}", "Wait, or look at its grid.", run)


def _no_run(facts: Facts, dag_id: str, paused: bool) -> Step:
    if paused:
        do = "Unpause it; then trigger it with this session, for a paused DAG keeps no events."
        return Step(dag_id, "failed", f"{dag_id} is paused and has no run of {facts.session}", do)
    if dag_id == "market_close":
        if facts.now < facts.due:
            return Step(dag_id, "waiting", f"Starts at {facts.due:%Y-%m-%d %H:%M} UTC", "Wait.")
        if facts.market_ended:
            do = "Trigger it with this session."
            return Step(dag_id, "missing", f"No run: {facts.session} is after the market's last session", do)
        do = "Is the scheduler up? Sessions run in order: one before may still run. Else trigger it with this one."
        return Step(dag_id, "missing", f"No run of {facts.session}, due {facts.due:%Y-%m-%d %H:%M} UTC", do)
    before = facts.runs.get("market_close")
    if before is None or before.state != "success":
        return Step(dag_id, "waiting", "Starts when market_close has published the session")
    do = "The event was lost (was the DAG paused?): trigger it with this session, or run reconcile."
    return Step(dag_id, "missing", "market_close succeeded, and no run followed", do)


def _table(facts: Facts, table: str, dag_id: str) -> Step:
    if (published := facts.published.get(table)) is not None:
        first = facts.first_published[table]  # scored again by a correction, a session is late no more than before
        late = table == "ic_scores" and first > facts.scores_due
        what = f"Published {first:%Y-%m-%d %H:%M} UTC{' (late)' if late else ''}"
        again = f", last {published:%Y-%m-%d %H:%M} UTC" if published > first else ""
        if table == "ic_scores" and facts.stale:
            do = "reconcile scores it again at 07:00 New York; trigger it where that is too late."
            return Step(table, "waiting", f"{what}{again}, and stale: {'; '.join(facts.stale)}", do, late=late)
        return Step(table, "done", what + again, late=late)
    run = facts.runs.get(dag_id)
    if run is not None and run.state == "success":
        do = f"The run succeeded without it: open its page Loads, then clear it in {dag_id}."
        return Step(table, "missing", "Not published", do, run)
    return Step(table, "waiting", f"Comes with {dag_id}")
