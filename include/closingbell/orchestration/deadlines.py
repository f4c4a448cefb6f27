"""When a session's scores are due: counted from its close, not from whenever a run was queued.

Airflow's own reference to the moment a run was queued must not be used with 3.3.2: with it, clearing a task of such a
run fails with an internal server error (`timedelta(seconds=dict)` in `_recalculate_dagrun_queued_at_deadlines`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

HISTORY = timedelta(days=1)


class SessionClose(BaseDeadlineReference):
    """The close of the run's session; no deadline for a session that closed over a day before its run was made.

    A backfill's or a late start's session is late already, which tells nobody anything.
    """

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str, **_: Any) -> datetime | None:
        from airflow.models import DagRun
        from sqlalchemy import select

        of_run = select(DagRun.partition_key).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        return close_of_recent(session.scalar(of_run), datetime.now(UTC))


def close_of_recent(partition_key: str | None, now: datetime) -> datetime | None:
    """When the session closed; None where the key is none or the session is history."""
    from closingbell import sessions

    try:
        closed = sessions.close_of(date.fromisoformat(partition_key or ""))
    except ValueError:
        return None
    return closed if now - closed < HISTORY else None
