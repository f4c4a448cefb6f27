"""XNYS sessions: the partition key of everything. Built on exchange-calendars, imported lazily (1.3 s) and cached.

A session is a `datetime.date`; moments are timezone-aware datetimes in UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

NEW_YORK = ZoneInfo("America/New_York")
FIRST = date(1990, 1, 2)  # the recordings' prices begin here; exchange-calendars' own default is 20 years back


class NotASession(ValueError):
    """A date that XNYS did not open on, or that the calendar does not reach."""


@lru_cache(maxsize=1)
def calendar() -> ExchangeCalendar:
    """The XNYS calendar from 1990 to its end, about a year from now."""
    import exchange_calendars

    return exchange_calendars.get_calendar("XNYS", start=FIRST.isoformat())


def is_session(day: date) -> bool:
    """Whether XNYS opens on `day` (False beyond the calendar's reach)."""
    cal = calendar()
    return cal.first_session.date() <= day <= cal.last_session.date() and bool(cal.is_session(day.isoformat()))


def close_of(session: date) -> datetime:
    """The close of `session` in UTC, early closes included; raises NotASession."""
    if not is_session(session):
        raise NotASession(_why_none(session))
    return calendar().session_close(session.isoformat()).to_pydatetime().astimezone(UTC)


def sessions_between(first: date, last: date) -> list[date]:
    """Sessions from `first` to `last`, both included, in order."""
    return [stamp.date() for stamp in calendar().sessions_in_range(first.isoformat(), last.isoformat())]


def last_sessions(session: date, count: int) -> list[date]:
    """The `count` sessions that end with `session` (included), in order; fewer where the calendar begins.

    Raises NotASession.
    """
    if not is_session(session):
        raise NotASession(_why_none(session))
    cal = calendar()
    end = cal.sessions.get_loc(session.isoformat())
    return [stamp.date() for stamp in cal.sessions[max(0, end - count + 1) : end + 1]]


def latest_session(now: datetime) -> date:
    """The last session whose close is at or before `now` (aware)."""
    cal = calendar()
    day = now.astimezone(NEW_YORK).date()
    session = cal.date_to_session(day.isoformat(), direction="previous").date()
    return session if close_of(session) <= now else cal.previous_session(session.isoformat()).date()


def next_session(session: date) -> date | None:
    """The session after `session`; None where the calendar ends."""
    cal = calendar()
    return None if session >= cal.last_session.date() else cal.next_session(session.isoformat()).date()


def first_session_from(day: date) -> date | None:
    """The first session on or after `day`; None where the calendar ends."""
    cal = calendar()
    if day > cal.last_session.date():
        return None
    return cal.date_to_session(max(day, cal.first_session.date()).isoformat(), direction="next").date()


def _why_none(day: date) -> str:
    first, last = calendar().first_session.date(), calendar().last_session.date()
    if first <= day <= last:
        return f"{day} is no XNYS session: holidays and weekends have none; use the session before it"
    return f"{day} is outside the calendar: XNYS sessions are known from {first} to {last}"
