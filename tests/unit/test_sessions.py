"""Sessions against NYSE's own calendar: holidays, 13:00 closes, daylight saving, the moment around a close."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from closingbell import sessions

# NYSE, "Holidays & Trading Hours" of those years
CLOSED = [
    date(2024, 1, 15),  # Martin Luther King Jr. Day
    date(2024, 3, 29),  # Good Friday
    date(2024, 7, 4),
    date(2024, 11, 28),  # Thanksgiving
    date(2025, 1, 9),  # day of mourning for President Carter
    date(2021, 12, 24),  # Christmas fell on a Saturday
    date(2001, 9, 11),
    date(2012, 10, 29),  # hurricane Sandy
    date(2024, 3, 2),  # a Saturday
]


@pytest.mark.parametrize("day", CLOSED)
def test_a_day_that_did_not_open_is_no_session(day):
    assert not sessions.is_session(day)
    with pytest.raises(sessions.NotASession, match=f"{day} is no XNYS session"):
        sessions.close_of(day)


def test_a_monday_new_year_keeps_the_friday_before():
    # 1 January 2022 was a Saturday; NYSE rule 7.2 gives no holiday for it
    assert sessions.is_session(date(2021, 12, 31))


@pytest.mark.parametrize(
    "day", [date(2024, 7, 3), date(2024, 11, 29), date(2024, 12, 24), date(2025, 7, 3), date(2015, 11, 27)]
)
def test_early_closes_are_at_13_new_york(day):
    assert sessions.close_of(day).astimezone(sessions.NEW_YORK).strftime("%H:%M") == "13:00"


@pytest.mark.parametrize(
    ("day", "hour"),
    [
        (date(2024, 3, 8), 21),  # the Friday before clocks go forward
        (date(2024, 3, 11), 20),
        (date(2024, 11, 1), 20),  # the Friday before they go back
        (date(2024, 11, 4), 21),
        (date(2006, 4, 3), 20),  # before 2007 summer time began in April
        (date(2006, 3, 31), 21),
    ],
)
def test_the_close_is_16_new_york_in_summer_and_winter(day, hour):
    close = sessions.close_of(day)
    assert close == datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    assert close.utcoffset() == timedelta(0)


def test_the_latest_session_changes_at_the_close_itself():
    friday, monday = date(2024, 3, 1), date(2024, 3, 4)
    close = sessions.close_of(monday)
    assert sessions.latest_session(close - timedelta(microseconds=1)) == friday
    assert sessions.latest_session(close) == monday
    assert sessions.latest_session(close + timedelta(hours=2)) == monday
    # 02:00 UTC on Tuesday is Monday evening in New York
    assert sessions.latest_session(datetime(2024, 3, 5, 2, tzinfo=UTC)) == monday


def test_the_latest_session_over_a_weekend_a_holiday_and_an_early_close():
    assert sessions.latest_session(datetime(2024, 3, 3, 12, tzinfo=UTC)) == date(2024, 3, 1)
    assert sessions.latest_session(datetime(2024, 7, 4, 23, tzinfo=UTC)) == date(2024, 7, 3)
    assert sessions.latest_session(datetime(2024, 7, 3, 16, 59, tzinfo=UTC)) == date(2024, 7, 2)
    assert sessions.latest_session(datetime(2024, 7, 3, 17, 0, tzinfo=UTC)) == date(2024, 7, 3)


def test_ranges_skip_what_did_not_open():
    assert sessions.sessions_between(date(2024, 3, 28), date(2024, 4, 1)) == [date(2024, 3, 28), date(2024, 4, 1)]
    assert sessions.sessions_between(date(2024, 3, 29), date(2024, 3, 31)) == []
    assert len(sessions.sessions_between(date(2024, 1, 1), date(2024, 12, 31))) == 252
    assert sessions.last_sessions(date(2024, 4, 1), 3) == [date(2024, 3, 27), date(2024, 3, 28), date(2024, 4, 1)]


def test_the_calendar_begins_where_the_recorded_prices_do():
    assert sessions.is_session(sessions.FIRST)
    assert not sessions.is_session(sessions.FIRST - timedelta(days=1))
    assert sessions.last_sessions(sessions.FIRST, 400) == [sessions.FIRST]


def test_beyond_the_calendar_nothing_is_a_session():
    assert not sessions.is_session(date(2099, 1, 5))
    with pytest.raises(sessions.NotASession, match=r"2099-01-05 is outside .* known from 1990-01-02 to 20"):
        sessions.close_of(date(2099, 1, 5))
    with pytest.raises(sessions.NotASession, match="1950-01-03 is outside the calendar"):
        sessions.last_sessions(date(1950, 1, 3), 5)


def test_the_last_sessions_of_a_holiday_are_refused():
    with pytest.raises(sessions.NotASession):
        sessions.last_sessions(date(2024, 3, 29), 5)
