"""Makes the session timetable known to the scheduler, which reads DAGs back from their serialized form."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from closingbell.orchestration.timetables import XNYSSessionTimetable


class ClosingBellTimetables(AirflowPlugin):
    """The timetables of this deployment."""

    name = "closing_bell_timetables"
    timetables: ClassVar[list[Any]] = [XNYSSessionTimetable]
