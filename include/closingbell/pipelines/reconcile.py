"""The morning after: the last session's bars and actions again -> stock_prices final; which scores that changes."""

from __future__ import annotations

import dataclasses
import logging
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from closingbell.pipelines import market_close
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.sessions import close_of, last_sessions, latest_session
from closingbell.settings import settings
from closingbell.warehouse import db

log = logging.getLogger(__name__)

LOOKED_BACK = timedelta(days=400)
LATE_SESSIONS = 10
LOOK_BACK = 5  # sessions: a vendor's late correction, or a morning that was missed


def plan(run: Run) -> list[Batch]:
    """The run's session and those of the week before that are not final yet."""
    window = last_sessions(run.session, LOOK_BACK)
    have = db.query(run.engine, "bars_by_session", first=window[0], last=window[-1])
    due = have.filter((have["provisional"] > 0) | (have["session"] == run.session))["session"].to_list()
    if not due:
        log.info("reconcile: no bars of %s to %s are stored; market_close comes first", window[0], window[-1])
        return []
    if settings().price_vendor != "polygon":
        narrowed = dataclasses.replace(run, partition_key=due[-1].isoformat())
        return market_close.plan(narrowed)
    first, last = due[0], due[-1] + timedelta(days=market_close.ANNOUNCED_DAYS)
    return [
        {
            "key": f"{due[0]}..{due[-1]}" if len(due) > 1 else f"{due[0]}",
            "sessions": [day.isoformat() for day in due],
            "actions": [first.isoformat(), last.isoformat()],
        }
    ]


LOAD = Load(
    name="reconcile",
    tables=market_close.TABLES,
    plan=plan,
    land=market_close.land,
    frames=market_close.frames,
    replay=lambda run: [],
    expected=market_close.expected,
)


def sessions_to_score(run: Run) -> list[date]:
    """Sessions whose indicators, valuations or scores are older than what they are made of.

    Those are sessions of the last 400 days with bars or splits corrected or withdrawn after their score, with
    statements, ratings, insider trades, holdings or news known by their close but loaded, changed or withdrawn later
    (of shares that traded then, in what scores read of them), with indicators or market values made anew, with
    indicators and no score; and, of the last ten and after the first ever scored, those with bars and no score. Longer
    gaps are a backfill's: one old session scored by hand asks for none after it. Whoever asks makes their indicators
    and valuations anew, then their scores.
    """
    found = stale(run.engine, run.session - LOOKED_BACK, run.session)
    for session, reasons in found.items():
        log.info("%s: %s", session, "; ".join(reasons))
    return list(found)


def stale(engine: Engine, first: date, last: date) -> dict[date, list[str]]:
    """Of the sessions `first` to `last` those that `sessions_to_score` would find, in order, each with why."""
    recent = last_sessions(last, LATE_SESSIONS)[0]
    found: dict[date, list[str]] = {}
    rows = db.query(engine, "sessions_to_score", first=first, last=last, recent=max(first, recent))
    for session, reason in rows.select("session", "reason").iter_rows():
        found.setdefault(session, []).append(reason)
    return found


def late_sessions(engine: Engine, now: datetime) -> list[date]:
    """Of the last sessions those that have no scores though they were due by `now` (aware), in order.

    None where the market stands still (a sandbox's), and none before the first session that was ever scored.
    """
    if settings().market_ends_on is not None:
        return []
    scored = set(db.query(engine, "doctor_scored", first=date.min)["session"])
    due = timedelta(minutes=settings().scores_due_minutes)
    return [
        day
        for day in last_sessions(latest_session(now), LATE_SESSIONS)
        if scored and day > min(scored) and day not in scored and close_of(day) + due < now
    ]
