"""The session timetable's boundary cases. Sessions and closes: NYSE's published calendar of 2025 and 2026."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction

from closingbell.orchestration import timetables
from closingbell.orchestration.timetables import EveryHoursTimetable, XNYSHoursTimetable, XNYSSessionTimetable
from closingbell.sessions import NEW_YORK

ANY = TimeRestriction(earliest=None, latest=None, catchup=False)


@pytest.fixture
def at(monkeypatch):
    """Sets the timetable's clock."""

    def set_clock(moment: str) -> None:
        monkeypatch.setattr(timetables, "utcnow", lambda: datetime.fromisoformat(moment).replace(tzinfo=UTC))

    return set_clock


def ran(session: str) -> DagRunInfo:
    moment = datetime.fromisoformat(session).replace(tzinfo=UTC)
    return DagRunInfo(run_after=moment, data_interval=None, partition_date=moment, partition_key=session)


def following(timetable: XNYSSessionTimetable, session: str | None, restriction: TimeRestriction = ANY) -> str | None:
    info = timetable.next_dagrun_info_v2(last_dagrun_info=ran(session) if session else None, restriction=restriction)
    return info.partition_key if info else None


def test_first_run_is_the_last_session_that_closed(at):
    at("2025-12-02T15:00:00")  # Tuesday morning in New York
    assert following(XNYSSessionTimetable(), None) == "2025-12-01"


def test_first_run_after_the_close_is_that_session(at):
    at("2025-12-02T21:00:00")
    assert following(XNYSSessionTimetable(), None) == "2025-12-02"


def test_outage_of_six_sessions_is_caught_up_none_skipped(at):
    at("2025-12-02T23:30:00")
    seen, last = [], "2025-11-21"
    for _ in range(6):
        last = following(XNYSSessionTimetable(), last)
        seen.append(last)
    # Thanksgiving is 2025-11-27
    assert seen == ["2025-11-24", "2025-11-25", "2025-11-26", "2025-11-28", "2025-12-01", "2025-12-02"]


def test_next_session_of_the_future_is_due_after_its_close_and_delay(at):
    at("2025-12-02T23:30:00")
    info = XNYSSessionTimetable(90).next_dagrun_info_v2(last_dagrun_info=ran("2025-12-02"), restriction=ANY)
    assert info.partition_key == "2025-12-03"
    assert info.run_after == datetime(2025, 12, 3, 22, 30, tzinfo=UTC)  # 16:00 New York is 21:00 UTC in winter


@pytest.mark.parametrize(
    ("session", "due"),
    [
        ("2025-11-26", datetime(2025, 11, 26, 23, 0, tzinfo=UTC)),
        ("2025-11-28", datetime(2025, 11, 28, 20, 0, tzinfo=UTC)),  # 13:00 close
        ("2025-07-02", datetime(2025, 7, 2, 22, 0, tzinfo=UTC)),  # daylight saving
    ],
)
def test_due_two_hours_after_early_and_summer_closes(at, session, due):
    at("2025-12-02T23:30:00")
    moment = datetime.fromisoformat(session).replace(tzinfo=UTC)
    (info,) = XNYSSessionTimetable().iter_partition_dagrun_infos(earliest=moment, latest=moment)
    assert (info.partition_key, info.run_after, info.partition_date) == (session, due, moment)


def test_backfill_range_is_exactly_its_sessions(at):
    at("2025-12-10T23:30:00")
    infos = XNYSSessionTimetable(15).iter_partition_dagrun_infos(
        earliest=datetime(2025, 11, 24, tzinfo=UTC), latest=datetime(2025, 12, 1, tzinfo=UTC)
    )
    assert [info.partition_key for info in infos] == [
        "2025-11-24", "2025-11-25", "2025-11-26", "2025-11-28", "2025-12-01",
    ]  # fmt: skip


def test_backfill_range_from_new_york_midnights_is_the_same(at):
    at("2025-12-10T23:30:00")
    infos = XNYSSessionTimetable().iter_partition_dagrun_infos(
        earliest=datetime(2025, 11, 28, 5, tzinfo=UTC), latest=datetime(2025, 12, 1, 5, tzinfo=UTC)
    )
    assert [info.partition_key for info in infos] == ["2025-11-28", "2025-12-01"]


def test_backfill_leaves_out_sessions_that_have_not_closed(at):
    at("2025-12-02T15:00:00")
    infos = XNYSSessionTimetable().iter_partition_dagrun_infos(
        earliest=datetime(2025, 12, 1, tzinfo=UTC), latest=datetime(2031, 12, 5, tzinfo=UTC)
    )
    assert [info.partition_key for info in infos] == ["2025-12-01"]


@pytest.mark.parametrize(
    "key",
    ["2025-11-27", "2025-11-29", "2031-01-02", "2025-12-02", "20251201", "yesterday", "", "2025-12-01T00:00:00"],
)
def test_partition_key_that_is_no_closed_session_is_refused(at, key):
    at("2025-12-02T15:00:00")  # 2025-12-02 is open, 11-27 Thanksgiving, 11-29 a Saturday
    with pytest.raises(InvalidPartitionKeyError):
        XNYSSessionTimetable().resolve_partition_date(key)


def test_partition_key_of_a_session_is_its_midnight(at):
    at("2025-12-02T15:00:00")
    assert XNYSSessionTimetable().resolve_partition_date("2025-11-28") == datetime(2025, 11, 28, tzinfo=UTC)


def test_market_that_ended_schedules_its_last_session_and_no_more(at):
    at("2026-11-21T11:00:00")
    timetable = XNYSSessionTimetable(120, date(2025, 12, 5))
    assert following(timetable, None) == "2025-12-05"
    assert following(timetable, "2025-12-04") == "2025-12-05"
    assert following(timetable, "2025-12-05") is None
    with pytest.raises(InvalidPartitionKeyError, match="last session"):
        timetable.resolve_partition_date("2025-12-08")
    infos = timetable.iter_partition_dagrun_infos(
        earliest=datetime(2025, 12, 4, tzinfo=UTC), latest=datetime(2026, 1, 5, tzinfo=UTC)
    )
    assert [info.partition_key for info in infos] == ["2025-12-04", "2025-12-05"]


def test_start_and_end_of_a_dag_are_kept(at):
    at("2025-12-02T23:30:00")
    late = TimeRestriction(earliest=datetime(2025, 12, 6, tzinfo=UTC), latest=None, catchup=False)
    assert following(XNYSSessionTimetable(), None, late) == "2025-12-08"
    over = TimeRestriction(earliest=None, latest=datetime(2025, 12, 2, tzinfo=UTC), catchup=False)
    assert following(XNYSSessionTimetable(), "2025-12-02", over) is None
    all_of_it = TimeRestriction(earliest=datetime(2025, 11, 27, tzinfo=UTC), latest=None, catchup=True)
    assert following(XNYSSessionTimetable(), None, all_of_it) == "2025-11-28"


def test_end_of_the_calendar_schedules_nothing_and_says_so(at, caplog):
    from closingbell import sessions

    at("2025-12-02T23:30:00")
    end = sessions.calendar().last_session.date().isoformat()
    assert following(XNYSSessionTimetable(), end) is None
    assert "upgrade exchange-calendars" in caplog.text


def test_survives_serialization():
    timetable = XNYSSessionTimetable(45, date(2017, 11, 10))
    again = XNYSSessionTimetable.deserialize(timetable.serialize())
    assert again.serialize() == {"close_delay_minutes": 45, "market_ends_on": "2017-11-10"} == timetable.serialize()
    assert again._delay == timedelta(minutes=45)


HOURS = XNYSHoursTimetable()


def moments(day: str, timetable: XNYSHoursTimetable = HOURS) -> list[str]:
    """New York times of the runs of one day, one after the other."""
    found, last = [], datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=NEW_YORK).astimezone(UTC)
    while True:
        info = timetable.next_dagrun_info(
            last_automated_data_interval=DataInterval.exact(last),
            restriction=TimeRestriction(earliest=None, latest=None, catchup=True),
        )
        last = info.run_after
        if last.astimezone(NEW_YORK).date().isoformat() != day:
            return found
        found.append(f"{last.astimezone(NEW_YORK):%H:%M}")


def test_hours_of_a_session_end_half_an_hour_after_its_close_and_at_night():
    whole = ["10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:30", "22:30"]
    assert moments("2025-12-02") == whole
    assert moments("2025-11-28") == ["10:30", "11:30", "12:30", "13:30", "22:30"]  # 13:00 close
    assert moments("2025-11-27") == []  # Thanksgiving
    assert moments("2025-11-29") == []  # a Saturday


@pytest.mark.parametrize(
    ("day", "first"),
    [("2025-03-07", "15:30"), ("2025-03-10", "14:30"), ("2025-10-31", "14:30"), ("2025-11-03", "15:30")],
)
def test_hours_keep_new_yorks_clock_across_both_clock_changes(day, first):
    midnight = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=NEW_YORK)
    assert f"{HOURS._from(midnight):%H:%M}" == first  # UTC
    assert moments(day)[0] == "10:30"


def hourly(last: str | None, restriction: TimeRestriction = ANY, **of: date) -> str | None:
    interval = DataInterval.exact(datetime.fromisoformat(last).replace(tzinfo=UTC)) if last else None
    info = XNYSHoursTimetable(**{"market_ends_on": of.get("ends_on")}).next_dagrun_info(
        last_automated_data_interval=interval, restriction=restriction
    )
    return f"{info.run_after:%Y-%m-%dT%H:%M}" if info else None


def test_hours_begin_with_the_newest_moment_and_make_up_for_an_outage_once(at):
    at("2025-12-02T18:05:00")  # 13:05 New York
    assert hourly(None) == "2025-12-02T17:30"
    assert hourly("2025-12-02T17:30") == "2025-12-02T18:30"
    assert hourly("2025-11-24T15:30") == "2025-12-02T17:30"
    at("2025-11-30T12:00:00")  # a Sunday: Friday's night
    assert hourly(None) == "2025-11-29T03:30"
    assert hourly("2025-11-29T03:30") == "2025-12-01T15:30"


def test_hours_end_with_the_market_and_keep_the_dags_own_dates(at):
    at("2026-11-21T12:00:00")
    assert hourly(None, ends_on=date(2025, 12, 5)) == "2025-12-06T03:30"
    assert hourly("2025-12-06T03:30", ends_on=date(2025, 12, 5)) is None
    at("2025-12-02T18:05:00")
    late = TimeRestriction(earliest=datetime(2025, 12, 3, 18, tzinfo=UTC), latest=None, catchup=False)
    assert hourly(None, late) == "2025-12-03T18:30"
    over = TimeRestriction(earliest=None, latest=datetime(2025, 12, 2, 18, tzinfo=UTC), catchup=False)
    assert hourly("2025-12-02T17:30", over) is None


def test_hours_survive_serialization():
    timetable = XNYSHoursTimetable("22:15", date(2017, 11, 10))
    again = XNYSHoursTimetable.deserialize(timetable.serialize())
    assert again.serialize() == {"night": "22:15", "market_ends_on": "2017-11-10"} == timetable.serialize()
    assert again.summary == "XNYS hourly, 22:15 New York"


@pytest.mark.parametrize(("day", "closes"), [("2025-12-02", 16), ("2025-11-28", 13)])
def test_every_interval_has_its_last_run_before_the_scores_after_the_close(day, closes):
    """Scores start two hours after the close: see CLOSINGBELL_CLOSE_DELAY_MINUTES."""
    for hours in range(1, 25):
        found = moments(day, EveryHoursTimetable(hours))
        assert f"{closes}:15" in found
        clock = [int(moment[:2]) for moment in found]
        assert {later - earlier for earlier, later in pairwise(clock)} <= {hours}
        assert clock[0] < hours


def test_every_few_hours_of_a_day():
    assert moments("2025-12-02", EveryHoursTimetable(4)) == ["00:15", "04:15", "08:15", "12:15", "16:15", "20:15"]
    assert moments("2025-11-28", EveryHoursTimetable(6)) == ["01:15", "07:15", "13:15", "19:15"]  # 13:00 close
    assert moments("2025-12-02", EveryHoursTimetable(24)) == ["16:15"]
    assert moments("2025-11-29", EveryHoursTimetable(12)) == ["04:15", "16:15"]  # a Saturday
    assert len(moments("2025-12-02", EveryHoursTimetable(1))) == 24
    assert len(moments("2025-03-09", EveryHoursTimetable(1))) == 23  # 02:15 is not there


def test_every_few_hours_ends_with_the_market_and_survives_serialization(at):
    at("2026-11-21T12:00:00")
    timetable = EveryHoursTimetable(6, date(2025, 12, 5))
    info = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=ANY)
    assert info.run_after == datetime(2025, 12, 6, 3, 15, tzinfo=UTC)
    after = DataInterval.exact(info.run_after)
    assert timetable.next_dagrun_info(last_automated_data_interval=after, restriction=ANY) is None
    again = EveryHoursTimetable.deserialize(timetable.serialize())
    assert again.serialize() == {"hours": 6, "market_ends_on": "2025-12-05"} == timetable.serialize()
