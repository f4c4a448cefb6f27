"""The coverage of a session, for its page: seconds of work on a whole market, so it is kept for a while."""

from __future__ import annotations

import asyncio
import time
from datetime import date
from typing import Any

KEPT_SECONDS = 600.0
MOST_KEPT = 30  # sessions


class Coverage:
    """The lines of pipelines.score_reads.covered by session; who asks while they are made waits for the same."""

    def __init__(self) -> None:
        self._kept: dict[date, tuple[float, Any]] = {}
        self._making = asyncio.Lock()

    async def of(self, session: date) -> Any:
        """Lines of a scored session, at most ten minutes old. Raises reads.Unavailable."""
        async with self._making:
            made, lines = self._kept.get(session, (float("-inf"), None))
            if time.monotonic() - made > KEPT_SECONDS:
                lines = await asyncio.to_thread(_covered, session)
                self._kept = dict([*self._kept.items()][-MOST_KEPT + 1 :]) | {session: (time.monotonic(), lines)}
            return lines


def _covered(session: date) -> Any:
    from sqlalchemy.exc import OperationalError

    from closingbell.api.reads import Unavailable
    from closingbell.pipelines import score_reads
    from closingbell.warehouse import db

    try:
        return score_reads.covered(db.engine().execution_options(postgresql_readonly=True), session)
    except OperationalError as error:
        raise Unavailable(f"coverage: {error}") from error
    except score_reads.NoScore:  # its bars were taken back since
        return []
