"""What takes seconds on a whole market, kept for a while by session: its coverage, and why its scores are stale."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import date
from typing import Any

COVERAGE_SECONDS = 600.0
STALE_SECONDS = 60.0
MOST_KEPT = 30  # sessions


class Kept:
    """What `make` says of a session, at most `seconds` old; who asks while it is made waits for the same."""

    def __init__(self, make: Callable[[date], Any], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._kept: dict[date, tuple[float, Any]] = {}
        self._making = asyncio.Lock()

    async def of(self, session: date) -> Any:
        """Raises reads.Unavailable."""
        async with self._making:
            made, found = self._kept.get(session, (float("-inf"), None))
            if time.monotonic() - made > self._seconds:
                found = await asyncio.to_thread(_asked, self._make, session)
                self._kept = dict([*self._kept.items()][-MOST_KEPT + 1 :]) | {session: (time.monotonic(), found)}
            return found


def covered(session: date) -> Any:
    """The lines of pipelines.score_reads.covered."""
    from closingbell.pipelines import score_reads

    try:
        return score_reads.covered(_reader(), session)
    except score_reads.NoScore:  # its bars were taken back since
        return []


def stale(session: date) -> Any:
    """Why the session's scores are older than what they are made of; nothing where they are not."""
    from closingbell.pipelines import reconcile

    return reconcile.stale(_reader(), session, session).get(session, ())


def _asked(make: Callable[[date], Any], session: date) -> Any:
    from sqlalchemy.exc import OperationalError

    from closingbell.api.reads import Unavailable

    try:
        return make(session)
    except OperationalError as error:
        raise Unavailable(f"{make.__name__}: {error}") from error


def _reader() -> Any:
    from closingbell.warehouse import db

    return db.engine().execution_options(postgresql_readonly=True)
