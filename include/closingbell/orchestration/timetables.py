"""The schedule of everything that happens once a session: XNYS sessions as Airflow partitions.

A run's partition key is the session (ISO date), its partition date that day's midnight UTC, and it starts
`close_delay_minutes` after the session's close. Built on exchange-calendars through `closingbell.sessions`, which is
imported when a date is asked for and never when a DAG file is parsed.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow._shared.timezones.timezone import coerce_datetime, utcnow
from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

if TYPE_CHECKING:
    from airflow.utils.types import DagRunType
    from pendulum import DateTime

log = logging.getLogger(__name__)

CALENDAR_WARNING = dt.timedelta(days=90)


class XNYSSessionTimetable(Timetable):
    """One run a session, `close_delay_minutes` after its close (early closes included), in order, none skipped.

    A DAG that never ran starts at the last session that closed. After an outage the next run is the session after
    the last one that ran, whatever `catchup` says: a board without its sessions in between would have holes.
    `market_ends_on` is the last session of a simulated or recorded market; none after it is ever scheduled.
    """

    partitioned = True
    description = "After every New York session"

    def __init__(self, close_delay_minutes: int = 120, market_ends_on: dt.date | None = None) -> None:
        self._delay = dt.timedelta(minutes=close_delay_minutes)
        self._ends_on = market_ends_on

    @property
    def summary(self) -> str:
        """What the DAG list shows."""
        return f"XNYS close + {int(self._delay.total_seconds() // 60)} min"

    def serialize(self) -> dict[str, Any]:
        """Both arguments, as JSON."""
        return {
            "close_delay_minutes": int(self._delay.total_seconds() // 60),
            "market_ends_on": self._ends_on.isoformat() if self._ends_on else None,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """The timetable that `serialize` described."""
        ends_on = data["market_ends_on"]
        return cls(data["close_delay_minutes"], dt.date.fromisoformat(ends_on) if ends_on else None)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Sessions are partitions and have no data interval: the first session, as if none had run."""
        return self.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The session after the last run's; the last closed session where there was none."""
        from closingbell import sessions

        if last_dagrun_info is not None and last_dagrun_info.partition_key:
            session = sessions.next_session(dt.date.fromisoformat(last_dagrun_info.partition_key))
        elif restriction.catchup and restriction.earliest is not None:
            session = sessions.first_session_from(restriction.earliest.date())
        else:
            session = sessions.latest_session(utcnow())
            if self._ends_on is not None and session is not None and session > self._ends_on:
                session = sessions.latest_session(dt.datetime.combine(self._ends_on, dt.time.max, dt.UTC))
            if restriction.earliest is not None and session is not None and session < restriction.earliest.date():
                session = sessions.first_session_from(restriction.earliest.date())
        if session is None:
            log.error("The XNYS calendar has ended: upgrade exchange-calendars, or no session is scheduled again")
            return None
        self._warn_before_the_calendar_ends(session)
        if self._ends_on is not None and session > self._ends_on:
            return None
        if restriction.latest is not None and session > restriction.latest.date():
            return None
        return self._info(session)

    def iter_partition_dagrun_infos(self, *, earliest: dt.datetime, latest: dt.datetime) -> Iterable[DagRunInfo]:
        """The closed sessions whose dates lie between both moments' dates (included): what a backfill runs."""
        from closingbell import sessions

        now = utcnow()
        first, last = max(earliest.date(), sessions.FIRST), min(latest.date(), now.date())
        for session in sessions.sessions_between(first, last) if first <= last else ():
            if sessions.close_of(session) <= now and (self._ends_on is None or session <= self._ends_on):
                yield self._info(session)

    def localize_partition_datetime(self, moment: dt.datetime) -> DateTime:
        """Midnight UTC of the moment's own date, which is how partition dates are written."""
        return _midnight(moment.date())

    def _decode_partition_date(self, partition_key: str) -> dt.datetime:
        """The key's midnight; refuses what is no date, no session, still open, or beyond the market's end."""
        from closingbell import sessions

        try:
            session = dt.date.fromisoformat(partition_key)
        except ValueError as error:
            raise InvalidPartitionKeyError(f"{partition_key!r} is no date: give a session as YYYY-MM-DD") from error
        if session.isoformat() != partition_key:
            raise InvalidPartitionKeyError(f"{partition_key!r}: write the session as {session.isoformat()}")
        if not sessions.is_session(session):
            raise InvalidPartitionKeyError(f"{partition_key} is no XNYS session (holiday, weekend or out of reach)")
        if sessions.close_of(session) > utcnow():
            raise InvalidPartitionKeyError(f"{partition_key} has not closed yet: give a session that has")
        if self._ends_on is not None and session > self._ends_on:
            raise InvalidPartitionKeyError(f"{partition_key} is after {self._ends_on}, the last session of this market")
        return _midnight(session)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """A moment: partitioned runs have no interval."""
        return DataInterval.exact(run_after)

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: DateTime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        """`<type>__<session>`, with the moment where a run is made by hand and so may repeat."""
        key = extra.get("partition_key")
        if key and run_type.value in ("scheduled", "backfill"):
            return run_type.generate_run_id(suffix=f"{key}__{utcnow():%Y%m%dT%H%M%S}")
        return run_type.generate_run_id(suffix="__".join(filter(None, (key, run_after.isoformat()))))

    def _info(self, session: dt.date) -> DagRunInfo:
        from closingbell import sessions

        return DagRunInfo(
            run_after=coerce_datetime(sessions.close_of(session) + self._delay),
            data_interval=None,
            partition_date=_midnight(session),
            partition_key=session.isoformat(),
        )

    def _warn_before_the_calendar_ends(self, session: dt.date) -> None:
        from closingbell import sessions

        end = sessions.calendar().last_session.date()
        if end - session < CALENDAR_WARNING:
            log.warning("The XNYS calendar ends on %s: upgrade exchange-calendars before then", end)


class XNYSHoursTimetable(Timetable):
    """Every hour while New York trades, and once a night: for what comes in all day and not once a session.

    Hours count from the open (10:30, 11:30, ...) up to half an hour after the close, which every filing accepted by
    the close is in; `night` is HH:MM of New York, on sessions too. Missed moments are not made up for one by one: the
    newest is. A DAG that never ran starts with it. `market_ends_on`: see XNYSSessionTimetable.
    """

    description = "Every hour of a New York session, and at night"

    def __init__(self, night: str = "22:30", market_ends_on: dt.date | None = None) -> None:
        self._night = dt.time.fromisoformat(night)
        self._ends_on = market_ends_on

    @property
    def summary(self) -> str:
        """What the DAG list shows."""
        return f"XNYS hourly, {self._night:%H:%M} New York"

    def serialize(self) -> dict[str, Any]:
        """Both arguments, as JSON."""
        ends_on = self._ends_on.isoformat() if self._ends_on else None
        return {"night": f"{self._night:%H:%M}", "market_ends_on": ends_on}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """The timetable that `serialize` described."""
        ends_on = data["market_ends_on"]
        return cls(data["night"], dt.date.fromisoformat(ends_on) if ends_on else None)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The moment after the last run's, or the newest one that has passed where that is later."""
        last = last_automated_data_interval.end if last_automated_data_interval else None
        following = self._from(last + dt.timedelta(seconds=1)) if last else None
        if restriction.catchup:
            found = following if last else self._from(restriction.earliest or utcnow())
        else:
            newest = self._until(utcnow())
            found = newest if newest and (last is None or newest > last) else following
        if found is not None and restriction.earliest is not None and found < restriction.earliest:
            found = self._from(restriction.earliest)
        if found is None or (restriction.latest is not None and found > restriction.latest):
            return None
        return DagRunInfo.exact(coerce_datetime(found))

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The moment itself: what is read is new since the last run, whenever that was."""
        return DataInterval.exact(run_after)

    def _from(self, moment: dt.datetime) -> dt.datetime | None:
        """The first moment at or after this one; None behind the market's or the calendar's end."""
        from closingbell import sessions

        day = max(moment.astimezone(sessions.NEW_YORK).date(), sessions.FIRST)
        end = sessions.calendar().last_session.date()
        while day <= (min(end, self._ends_on) if self._ends_on else end):
            if later := [found for found in self._moments(day) if found >= moment]:
                return later[0]
            day += dt.timedelta(days=1)
        return None

    def _until(self, moment: dt.datetime) -> dt.datetime | None:
        """The last moment at or before this one, of ten days."""
        from closingbell import sessions

        day = moment.astimezone(sessions.NEW_YORK).date()
        day = min(day, self._ends_on) if self._ends_on else day
        for back in range(11):
            if earlier := [found for found in self._moments(day - dt.timedelta(days=back)) if found <= moment]:
                return earlier[-1]
        return None

    def _moments(self, day: dt.date) -> list[dt.datetime]:
        from closingbell import sessions

        if not sessions.is_session(day):
            return []
        opens = dt.datetime.combine(day, dt.time(9, 30), sessions.NEW_YORK)
        last = sessions.close_of(day) + dt.timedelta(minutes=30)
        hours = (opens + dt.timedelta(hours=hour) for hour in range(1, 8))
        night = dt.datetime.combine(day, self._night, sessions.NEW_YORK)
        return [moment.astimezone(dt.UTC) for moment in (*(hour for hour in hours if hour <= last), night)]


class EveryHoursTimetable(XNYSHoursTimetable):
    """Every `hours` hours of every day, counted from 15 minutes after the close (13:00 of a session that closes early).

    So each session has a run after its close and before its scores, whatever the interval. Each day counts by itself:
    the step over midnight may be shorter or longer.
    """

    description = "Every few hours, one of them after the close"

    def __init__(self, hours: int = 4, market_ends_on: dt.date | None = None) -> None:
        super().__init__(market_ends_on=market_ends_on)
        self._hours = hours

    @property
    def summary(self) -> str:
        """What the DAG list shows."""
        return f"Every {self._hours} h, XNYS close + 15 min"

    def serialize(self) -> dict[str, Any]:
        """Both arguments, as JSON."""
        return {"hours": self._hours, "market_ends_on": super().serialize()["market_ends_on"]}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """The timetable that `serialize` described."""
        ends_on = data["market_ends_on"]
        return cls(data["hours"], dt.date.fromisoformat(ends_on) if ends_on else None)

    def _moments(self, day: dt.date) -> list[dt.datetime]:
        from closingbell import sessions

        closes = dt.datetime.combine(day, dt.time(16), sessions.NEW_YORK)
        if sessions.is_session(day):
            closes = sessions.close_of(day).astimezone(sessions.NEW_YORK)
        told = closes + dt.timedelta(minutes=15)
        hours = (told.replace(hour=hour) for hour in range(told.hour % self._hours, 24, self._hours))
        return sorted({moment.astimezone(dt.UTC) for moment in hours})


def _midnight(day: dt.date) -> DateTime:
    return coerce_datetime(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC))
