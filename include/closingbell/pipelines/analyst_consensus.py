"""analyst_ratings as known at each close -> analyst_consensus of whole sessions.

Made are the sessions since the first that a rating speaks of which was published since the last run read them, and the
last one made before, which may have been made before its close.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from closingbell.pipelines import base
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.pipelines.scores import nothing_to_land
from closingbell.ratings import compute
from closingbell.sessions import NEW_YORK, close_of, sessions_between
from closingbell.warehouse import db

log = logging.getLogger(__name__)

SESSIONS_PER_BATCH = 50
YEAR = timedelta(days=367)


def plan(run: Run) -> list[Batch]:
    """Sessions in batches of 50, up to the New York day of the vendor's newest answer."""
    return _sessions_from(run, "touched")


def replay(run: Run) -> list[Batch]:
    """Every session since the first rating was known."""
    return _sessions_from(run, "first_known")


def frames(run: Run, batch: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """analyst_consensus of the batch's sessions."""
    sessions = [date.fromisoformat(day) for day in batch["sessions"]]
    closes = {session: close_of(session) for session in sessions}
    window = {"rated_after": closes[sessions[0]] - YEAR, "known_at": closes[sessions[-1]]}
    versions = db.query(run.engine, "ratings_versions", **window)
    splits = db.query(run.engine, "price_splits", last=sessions[-1])
    asked_from = db.query(run.engine, "ratings_asked_from")
    found = [pl.DataFrame(schema=compute.CONSENSUS)]
    for session, close in closes.items():
        found.append(compute.consensus(versions, known_at=close, session=session, splits=splits, asked_from=asked_from))
    rows = pl.concat(found)
    log.info("consensus: %d rows of %d sessions", rows.height, len(sessions))
    yield "analyst_consensus", rows


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """The sessions, whose rows that are no longer computed go; until when ratings are counted."""
    upto = batches[0]["upto"] if batches else None
    return {"analyst_consensus": {"sessions": [day for batch in batches for day in batch["sessions"]], "upto": upto}}


LOAD = Load(
    name="analyst_consensus",
    tables=("analyst_consensus",),
    plan=plan,
    land=nothing_to_land,
    frames=frames,
    replay=replay,
    expected=expected,
)


def _sessions_from(run: Run, name: str) -> list[Batch]:
    state = db.query(run.engine, "consensus_state").row(0, named=True)
    begins = [state[name].astimezone(NEW_YORK).date()] if state[name] else []
    begins += [state["last_session"]] if state["last_session"] else []
    if not begins or state["told_at"] is None:
        return []
    upto = state["upto"] and state["upto"].isoformat()
    days = sessions_between(min(begins), state["told_at"].astimezone(NEW_YORK).date())
    return [
        {"key": f"{part[0]}..{part[-1]}", "sessions": [day.isoformat() for day in part], "upto": upto}
        for part in base.chunks(days, SESSIONS_PER_BATCH)
    ]
