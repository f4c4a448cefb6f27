"""EDGAR's daily form indexes, landed ones and those that it is asked for, read one by one.

One that cannot be read is asked for once more. One that stays so is recorded in ops.fetch_failures under its day, and
left to the caller's next run, which asks again; the others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import date

import polars as pl

from closingbell.fundamentals import daily_index
from closingbell.hooks.errors import BadAnswer, NotFound
from closingbell.hooks.sec_edgar import SecEdgar
from closingbell.landing import Landed
from closingbell.pipelines.base import Run
from closingbell.warehouse import failures

log = logging.getLogger(__name__)

MANY = 3  # unreadable at once, and more than can be read: their form has changed


def read(
    run: Run, hook: SecEdgar, days: Mapping[date, Landed | None], unread: list[date]
) -> Iterator[tuple[date, Landed, pl.DataFrame]]:
    """Each day with its index and the rows of that (daily_index.SCHEMA); `unread` is given the days that have none.

    days: with the landed answer to use, or None to ask. A day of which EDGAR has no index (yet) is in neither. Raises
    ValueError where most days cannot be read.
    """
    pending = set(failures.pending(run.engine, "sec_edgar", "daily_index"))
    found = 0
    for day, landed in days.items():
        try:
            answer, rows = _index(run, hook, day, landed)
        except NotFound:
            log.info("EDGAR has no index of %s (yet)", day)
            continue
        except (BadAnswer, ValueError) as error:
            log.warning("the index of %s cannot be read, the next run asks again: %s", day, error)
            failures.record(run.engine, "sec_edgar", "daily_index", day.isoformat(), str(error), run.dag_id, run.run_id)
            unread.append(day)
            last = error
            continue
        if day.isoformat() in pending:
            failures.resolve(run.engine, "sec_edgar", "daily_index", day.isoformat())
        found += 1
        yield day, answer, rows
    if len(unread) >= max(MANY, found):
        shown = ", ".join(map(str, unread[:MANY]))
        raise ValueError(
            f"sec_edgar daily_index: {len(unread)} of {len(unread) + found} days cannot be read, first {shown}: has "
            f"EDGAR changed their form? The last says: {last}"
        )


def _index(run: Run, hook: SecEdgar, day: date, landed: Landed | None) -> tuple[Landed, pl.DataFrame]:
    unread: Exception | None = None
    for answer in (landed, None, None) if landed else (None, None):
        try:
            answer = answer or run.landing.read(run.landing.put(hook.daily_index(day)))
            return answer, daily_index.parse(answer.content)
        except NotFound:
            if unread is None:
                raise
            break  # it had one
        except (BadAnswer, ValueError) as error:
            unread = error
    assert unread is not None
    raise unread
