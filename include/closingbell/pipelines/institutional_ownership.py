"""institutional_filings and institutional_holdings -> institutional_ownership: what each close knew.

A row stands where what was known of a security and quarter changed; the row of a session is the last one up to it. Made
for the sessions on which a quarter's reports changed, from the first that new filings, securities of their CUSIPs,
shares outstanding or splits touch: all of a session's rows follow from the tables alone. Securities go by slices, so
that two quarters of them fit in memory.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from closingbell.institutions import catalog, compute
from closingbell.pipelines import base
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.pipelines.scores import nothing_to_land
from closingbell.sessions import close_of, latest_session, sessions_between
from closingbell.settings import settings
from closingbell.warehouse import db

log = logging.getLogger(__name__)

SLICE = 300  # securities at once: with quarters of 3.2 million lines, 5,000 securities, some 0.4 million
OVERLAP = timedelta(minutes=10)  # a publish may commit a little after the moment that its landings have
SHARES_DAYS = 550  # a company's count of shares older than this, at the quarter's end, is none


def plan(run: Run) -> list[Batch]:
    """Slices of the securities held (`first`, `last`), each with the `sessions` to make and `upto` when rows count."""
    last, upto = db.query(run.engine, "ownership_last_session").row(0)
    events = _events(run)
    due = _due(run, events, last)
    if not due:
        log.info("institutional_ownership: no session to make")
        return []
    quarters = sorted({q for quarter in _quarters_of(events, due) for q in (quarter, _before(quarter))})
    held = db.query(run.engine, "securities_held", quarters=quarters)["security_id"].to_list()
    log.info("institutional_ownership: %d sessions, %s to %s, %d securities", len(due), due[0], due[-1], len(held))
    return _batches(held, due, upto)


def frames(run: Run, batch: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """institutional_ownership of one slice of the securities."""
    due = [date.fromisoformat(day) for day in batch["sessions"]]
    events = _events(run)
    wanted = _quarters_of(events, due)
    quarters = sorted({q for quarter in wanted for q in (quarter, _before(quarter))})
    slice_ = {"first": batch["first"], "last": batch["last"]}
    rows = db.query(run.engine, "ownership_positions", quarters=quarters, **slice_)
    filings = db.query(run.engine, "ownership_filings", quarters=quarters)
    managers = db.query(run.engine, "ownership_managers", quarters=quarters)
    splits = db.query(run.engine, "score_splits", last=due[-1])
    first_day = quarters[0] - timedelta(days=SHARES_DAYS)
    versions = db.query(run.engine, "ownership_shares", until=close_of(due[-1]), from_day=first_day, **slice_)
    found = [pl.DataFrame(schema={"session": pl.Date} | compute.OWNERSHIP)]
    for quarter in wanted:
        two = pl.col("quarter").is_in([quarter, _before(quarter)])
        of_two = {"rows": rows.filter(two), "filings": filings.filter(two)}
        before = pl.DataFrame(schema=compute.OWNERSHIP)
        at = _sessions_of(events, quarter)
        for session, following in zip(at, [*at[1:], None], strict=True):
            if session not in due and following not in due:
                continue  # nobody compares with it
            as_of = close_of(session)
            now = compute.ownership(
                **of_two,
                quarter=quarter,
                as_of=as_of,
                managers=managers,
                shares_outstanding=compute.shares_outstanding(
                    versions.filter(pl.col("period_end") >= quarter - timedelta(days=SHARES_DAYS)),
                    splits,
                    quarter=quarter,
                    as_of=as_of,
                ),
                splits=splits,
            )
            if session in due:
                found.append(compute.changed(now, before).select(pl.lit(session).alias("session"), *compute.OWNERSHIP))
            before = now
    yield "institutional_ownership", pl.concat(found)


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """The sessions made: their rows that are no longer computed go; and up to when filings are counted, where the next
    run begins."""
    return {"institutional_ownership": {name: batches[0][name] for name in ("sessions", "upto")}} if batches else {}


def replay(run: Run) -> list[Batch]:
    """Every session with a change."""
    _, upto = db.query(run.engine, "ownership_last_session").row(0)
    events = _events(run)
    due = sorted({session for quarter in events for session in _sessions_of(events, quarter)})
    held = db.query(run.engine, "securities_held", quarters=list(events))["security_id"].to_list() if due else []
    return _batches(held, due, upto)


def _batches(held: Sequence[int], due: Sequence[date], upto: datetime) -> list[Batch]:
    said = {"sessions": [str(day) for day in due], "upto": (upto - OVERLAP).isoformat()}
    return [
        {"key": f"{part[0]}..{part[-1]}", "first": part[0], "last": part[-1]} | said
        for part in base.chunks(held, SLICE)
    ]


LOAD = Load(
    name="institutional_ownership",
    tables=("institutional_ownership",),
    plan=plan,
    land=nothing_to_land,
    frames=frames,
    replay=replay,
    expected=expected,
)

Events = dict[date, list[date]]
"""Quarter -> sessions whose close first knew some filing of it, in order."""


def _events(run: Run) -> Events:
    """Of the sessions that have closed."""
    rows = db.query(run.engine, "form13f_events")
    if rows.is_empty():
        return {}
    last = latest_session(datetime.now(UTC))
    if ends := settings().market_ends_on:
        last = min(last, ends)
    sessions = sessions_between(rows["known_at"].min().date(), last)  # type: ignore[union-attr]
    closes = [close_of(session) for session in sessions]
    events: Events = {}
    for quarter, known_at in rows.iter_rows():
        place = bisect_left(closes, known_at)
        if place < len(sessions):
            events.setdefault(quarter, []).append(sessions[place])
    return {quarter: sorted(set(found)) for quarter, found in events.items()}


def _sessions_of(events: Events, quarter: date) -> list[date]:
    """Sessions on which a quarter's ownership can change: by its own filings, then also by those of the one before."""
    own = events.get(quarter, [])
    if not own:
        return []
    return sorted({*own, *(session for session in events.get(_before(quarter), ()) if session > own[0])})


def _quarters_of(events: Events, due: Sequence[date]) -> list[date]:
    days = set(due)
    return [quarter for quarter in sorted(events) if days.intersection(_sessions_of(events, quarter))]


def _due(run: Run, events: Events, last: date | None) -> list[date]:
    """Sessions from the first that what was published since the last load touches, and those that came since."""
    if last is None or run.params.get("full"):
        return sorted({session for quarter in events for session in _sessions_of(events, quarter)})
    due = {session for quarter in events for session in _sessions_of(events, quarter) if session > last}
    for quarter, known_at in db.query(run.engine, "form13f_touched", days=SHARES_DAYS).iter_rows():
        for touched in (quarter, catalog.next_quarter(quarter)):
            due |= {session for session in _sessions_of(events, touched) if close_of(session) >= known_at}
    return sorted(due)


def _before(quarter: date) -> date:
    return quarter.replace(day=1, month=quarter.month - 2) - timedelta(days=1)
