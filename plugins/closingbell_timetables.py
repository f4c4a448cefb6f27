"""Makes the session timetable and the deadline known to the scheduler, which reads DAGs in their serialized form."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from closingbell.orchestration.deadlines import SessionClose
from closingbell.orchestration.timetables import EveryHoursTimetable, XNYSHoursTimetable, XNYSSessionTimetable


class ClosingBellTimetables(AirflowPlugin):
    """What a serialized DAG of this deployment refers to."""

    name = "closing_bell_timetables"
    timetables: list[Any] = [XNYSSessionTimetable, XNYSHoursTimetable, EveryHoursTimetable]  # noqa: RUF012
    deadline_references: list[Any] = [SessionClose]  # noqa: RUF012
