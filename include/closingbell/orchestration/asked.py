"""Which sessions a run works over: its partition key, or what its trigger form asked for.

Reads no clock and no database: tasks, the deadline and the pages ask here and so agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from closingbell.sessions import NEW_YORK
from closingbell.settings import settings


def sessions_of(partition_key: str | None, params: Mapping[str, Any], run_after: datetime) -> list[date]:
    """The run's sessions, in order: the partition key, else the form's, else the last one that closed by `run_after`.

    params: `session` alone is that session; with `last_session` they are the ends of a range, both included, which
    need not be sessions themselves. Raises ValueError, which says what to do, where the key or the form names no
    session, one that has not closed, or where the form contradicts the key.
    """
    first, last = params.get("session") or None, params.get("last_session") or None
    if last and not first:
        raise ValueError(f"'Last session' {last} alone is no range: fill in 'Session' as its first day")
    asked = _asked(first, last, run_after) if first else []
    if not partition_key:
        return asked or [_last_closed(run_after)]
    key = [_session(partition_key, f"partition key {partition_key!r}")]
    if asked and asked != key:
        raise ValueError(
            f"the form asks for {key_of(asked)}, the partition key is {partition_key}: leave one of them empty"
        )
    return key


def key_of(sessions: Sequence[date]) -> str:
    """How the ledger names these sessions: `2025-12-05`, or `2025-11-24..2025-12-05`."""
    return f"{sessions[0]}" if len(sessions) == 1 else f"{sessions[0]}..{sessions[-1]}"


def of_run(dag_run: Any, params: Mapping[str, Any], *, by_session: bool = False) -> tuple[str, dict[str, Any]]:
    """A DAG run's partition and what it was asked, canonical: tickers in the house's spelling, `sessions` where many.

    The partition is the run's sessions where they are its partitions (`by_session`) or its form has the field
    `session`; else its own key; else the New York day it was due. Ends the task at once, without retries, where
    `sessions_of` refuses.
    """
    from airflow.sdk.exceptions import AirflowFailException

    asked = {name: value for name, value in params.items() if name not in ("session", "last_session")}
    if by_session or "session" in params:
        try:
            found = sessions_of(dag_run.partition_key, params, dag_run.run_after)
        except ValueError as error:
            raise AirflowFailException(f"{dag_run.dag_id}: {error}. Trigger it again with what is meant.") from error
        key = key_of(found)
        if len(found) > 1:
            asked["sessions"] = [day.isoformat() for day in found]
    else:
        key = dag_run.partition_key or dag_run.run_after.astimezone(NEW_YORK).date().isoformat()
    if asked.get("tickers"):
        from closingbell.universe.tickers import normal_ticker

        asked["tickers"] = [normal_ticker(ticker) for ticker in asked["tickers"]]
    return key, asked


def _asked(first: str, last: str | None, run_after: datetime) -> list[date]:
    from closingbell import sessions

    newest = _last_closed(run_after)
    if last is None:
        found = [_session(first, f"'Session' {first}")]
    else:
        start, end = (_date(text, f"'{name}' {text}") for name, text in (("Session", first), ("Last session", last)))
        if start > end:
            raise ValueError(f"'Session' {start} is after 'Last session' {end}: exchange them")
        if start < sessions.FIRST:
            raise ValueError(f"'Session' {start}: sessions are known from {sessions.FIRST} on")
        if end > sessions.calendar().last_session.date():
            raise ValueError(f"'Last session' {end} has not closed yet: {newest} is the last one that has")
        found = sessions.sessions_between(start, end)
        if not found:
            raise ValueError(f"{start} to {end} holds no New York session (weekends and holidays have none)")
    if found[-1] > newest:
        raise ValueError(f"{found[-1]} has not closed yet: {newest} is the last session that has")
    return found


def _session(text: str, what: str) -> date:
    from closingbell import sessions

    day = _date(text, what)
    if not sessions.is_session(day):
        raise ValueError(f"{what} is no New York session (YYYY-MM-DD, no weekend or holiday)")
    return day


def _date(text: str, what: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise ValueError(f"{what} is no New York session: write a date as YYYY-MM-DD")
    return day


def _last_closed(moment: datetime) -> date:
    from closingbell import sessions

    session, ends_on = sessions.latest_session(moment), settings().market_ends_on
    return min(session, ends_on) if ends_on else session
