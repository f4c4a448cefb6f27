"""Options that several commands declare, and what they become: tickers, a session, a range of sessions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

Tickers = Annotated[list[str] | None, typer.Option("--ticker", "-t", help="A ticker; repeat it, or separate by commas")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many companies or securities")]
All = Annotated[bool, typer.Option("--all", help="Every one of the universe")]
Session = Annotated[str | None, typer.Option(help="New York trading day, YYYY-MM-DD; the last one closed by default")]
Sessions = Annotated[str | None, typer.Option("--session", help="Trading day, or several separated by commas")]
First = Annotated[str | None, typer.Option(help="First session of a range")]
Last = Annotated[str | None, typer.Option(help="Last session of a range")]
FromFiles = Annotated[
    list[Path] | None,
    typer.Option("--from-files", help="Answers that are here already: files, folders, SEC's bulk zip", exists=True),
]
RunId = Annotated[str | None, typer.Option(help="Name of this run; the same name takes up where it stopped")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only plan: the vendors' lists are asked for, nothing is kept")]


class UsageError(ValueError):
    """The options do not fit together."""


def joined() -> Any:
    """The stack whose environment this process takes over, or None; see `stack.adopt`."""
    from closingbell import stack

    return stack.adopt()


def one_of(from_files: list[Path] | None = None, *, ticker: list[str] | None, **others: Any) -> dict[str, Any]:
    """What is asked for; raises UsageError unless one choice is made, or files are given in its place."""
    choices = {"ticker": ticker, **others}
    given = [name for name, value in choices.items() if value]
    if len(given) != 1 and not from_files:
        options = ", ".join(f"--{name}" for name in choices)
        raise UsageError(f"give one of {options}" + (f", not {' and '.join(given)}" if given else ""))
    return {"tickers": ticker, **others, "from_files": from_files}


def sector_named(given: str | None) -> str | None:
    """The GICS sector that is spelled; raises UsageError with the eleven where it is none."""
    from closingbell.universe.sectors import gics_sector, sectors

    if given and gics_sector(given) is None:
        raise UsageError(f"--sector {given} is no GICS sector: use {', '.join(sectors())}")
    return gics_sector(given)


def nothing_beside(from_files: list[Path] | None, **others: Any) -> None:
    """Raises UsageError where files are given with a choice that they leave none of."""
    if from_files and (given := [f"--{name}" for name, value in others.items() if value]):
        raise UsageError(f"--from-files loads what the files hold: give it without {' and '.join(given)}")


def span(session: str | None, first: str | None = None, last: str | None = None) -> dict[str, Any]:
    """What --session, or --first and --last, become: `session` (the last one), `first` and `last`, `sessions`."""
    if session and (first or last):
        raise UsageError("give --session, or --first and --last, not both")
    if bool(first) != bool(last):
        raise UsageError("--first and --last go together")
    if first and last:
        start, end = session_of(first), session_of(last)
        if start > end:
            raise UsageError(f"--first {start} is after --last {end}")
        return {"session": end.isoformat(), "first": start.isoformat(), "last": end.isoformat()}
    if session and "," in session:
        days = sorted({session_of(day.strip()).isoformat() for day in session.split(",") if day.strip()})
        if not days:
            raise UsageError(f"--session {session!r} names no day: write YYYY-MM-DD")
        return {"session": days[-1], "sessions": days}
    return {"session": session_of(session).isoformat()}


def session_of(given: str | None) -> date:
    """The session, checked; the last one that closed (and that the sandbox serves) by default."""
    joined()
    from closingbell.sessions import close_of, latest_session
    from closingbell.settings import settings

    now = datetime.now(UTC)
    if not given:
        ends = settings().market_ends_on
        return min(latest_session(now), ends) if ends else latest_session(now)
    try:
        day = date.fromisoformat(given)
    except ValueError:
        raise UsageError(f"{given} is no date: write YYYY-MM-DD") from None
    if close_of(day) > now:
        raise UsageError(f"{day} has not closed yet")
    return day


def split(tickers: list[str] | str | None) -> list[str]:
    """Tickers in the house's spelling; raises UsageError where one is given that names none (",")."""
    from closingbell.universe.tickers import normal_ticker

    texts = [tickers] if isinstance(tickers, str) else tickers or []
    chosen = [normal_ticker(part) for text in texts for part in text.split(",") if part.strip()]
    if any(texts) and not chosen:
        raise UsageError(f"{','.join(texts)!r} names no ticker: write AAPL,BRK.B, or nothing for everybody")
    return chosen
