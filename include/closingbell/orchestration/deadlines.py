"""When a session's scores are due: counted from its close, not from whenever a run was queued.

Airflow's own reference to the moment a run was queued must not be used with 3.3.2: with it, clearing a task of such a
run fails with an internal server error (`timedelta(seconds=dict)` in `_recalculate_dagrun_queued_at_deadlines`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

HISTORY = timedelta(days=1)


class SessionClose(BaseDeadlineReference):
    """The close of the run's last session; no deadline for one that closed over a day before its run was made.

    A backfill's or a late start's session is late already, which tells nobody anything.
    """

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str, **_: Any) -> datetime | None:
        from airflow.models import DagRun
        from sqlalchemy import select

        of_run = select(DagRun.partition_key, DagRun.conf, DagRun.run_after)
        row = session.execute(of_run.where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).one()
        return close_of_recent(row.partition_key, row.conf or {}, row.run_after, datetime.now(UTC))


def close_of_recent(
    partition_key: str | None, params: Mapping[str, Any], run_after: datetime, now: datetime
) -> datetime | None:
    """When the last of the run's sessions closed; None where it names none or that session is history."""
    from closingbell import sessions
    from closingbell.orchestration import asked

    try:
        closed = sessions.close_of(asked.sessions_of(partition_key, params, run_after)[-1])
    except ValueError:
        return None
    return closed if now - closed < HISTORY else None
