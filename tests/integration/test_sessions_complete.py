"""Completeness of every session of a run: by the shares that traded before it, or, of what is computed, on it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from load_steps import filled, rows
from sqlalchemy import text

from closingbell.hooks.answer import Answer
from closingbell.pipelines import LOADS, base, market_close
from closingbell.pipelines.base import Run
from closingbell.sessions import close_of, last_sessions
from closingbell.settings import settings
from closingbell.warehouse import failures, load

DAYS = last_sessions(date(2025, 12, 5), 8)
ALL = range(1, 41)


class Vendor:
    """Stands for Polygon: on each session the bars of the shares that `bars` names, of all forty elsewhere."""

    def __init__(self) -> None:
        self.bars: dict[date, Any] = {}
        self.cut: set[date] = set()  # their answers count more results than they have
        self.asked: list[date] = []

    def grouped_daily(self, session: date) -> Answer:
        self.asked.append(session)
        moment = int(close_of(session).timestamp() * 1000)
        bar = {"o": 10.0, "h": 11.0, "l": 9.0, "c": 10.5, "v": 1000, "vw": 10.2, "n": 5, "t": moment}
        results = [{"T": f"S{number}", **bar} for number in self.bars.get(session, ALL)]
        count = len(results) + (session in self.cut)
        body = {"adjusted": False, "queryCount": count, "resultsCount": count, "status": "OK"}
        at = datetime.now(UTC)
        return Answer(
            vendor="polygon", endpoint="grouped_daily", key=session.isoformat(), request={"method": "GET"},
            body=json.dumps({**body, "results": results}).encode(), content_type=None, answered_at=at, fetched_at=at,
        )  # fmt: skip

    def splits(self, first: date, last: date) -> list[Answer]:
        return []

    dividends = splits

    def close(self) -> None:
        pass


@pytest.fixture
def vendor(database: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The vendor of a deployment that loads six sessions where history is missing; forty shares are listed."""
    monkeypatch.setenv("CLOSINGBELL_WARMUP_SESSIONS", "6")
    settings.cache_clear()
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.securities (security_id, name, type, fetched_at) "
                "SELECT n, 'S' || n, 'CS', now() FROM generate_series(1, 40) n;"
                "INSERT INTO closingbell.ticker_history (ticker, valid_from, security_id, fetched_at) "
                "SELECT 'S' || n, '2020-01-02', n, now() FROM generate_series(1, 40) n"
            )
        )
    made = Vendor()
    monkeypatch.setattr(market_close, "open_hook", lambda name, engine: made)
    yield made
    settings.cache_clear()


@pytest.fixture
def prices(vendor: Vendor, database: Any, landing: Any) -> Callable[..., dict[str, Any]]:
    def run(session: date, run_id: str = "r", **params: Any) -> dict[str, Any]:
        asked = Run(
            dag_id="prices", run_id=run_id, partition_key=session.isoformat(), engine=database, landing=landing,
            params=params,
        )  # fmt: skip
        return base.run_load(LOADS["prices"], asked)["stock_prices"]

    return run


def warned(database: Any) -> list[dict[str, Any]]:
    """What `sessions_full` found."""
    found = rows(database, "SELECT observed FROM ops.audit_results WHERE expectation = 'sessions_full' AND NOT passed")
    return [row for (observed,) in found for row in observed["rows"]]


def test_each_session_of_a_range_needs_the_shares_that_traded_on_the_one_before(vendor, prices):
    prices(DAYS[5])
    span = {"first": DAYS[6].isoformat(), "last": DAYS[7].isoformat()}
    vendor.bars = {DAYS[6]: [1]}
    with pytest.raises(load.AuditFailed, match=rf"sessions_complete found 1, .*'found': 1, .*{DAYS[6]}"):
        prices(DAYS[7], "one bar", **span)
    vendor.bars = {DAYS[7]: [1]}
    with pytest.raises(load.AuditFailed, match=r"sessions_complete found 1, .*'found': 1,.*'expected': 40"):
        prices(DAYS[7], "one bar in the last", full=True, **span)


@pytest.mark.parametrize("thin", [DAYS[2:7], DAYS[2:3], DAYS[4:5]], ids=["all of it", "its first day", "a day of it"])
def test_history_of_a_first_load_is_no_bar_a_session(thin, vendor, prices):
    vendor.bars = {day: [1] for day in thin}
    with pytest.raises(load.AuditFailed, match=r"sessions_complete found 1, .*'found': 1,.*'expected': 40"):
        prices(DAYS[7])


def test_a_first_load_with_listings_delistings_halts_and_a_thin_day_is_whole(vendor, prices, database):
    with database.begin() as connection:
        gone = "UPDATE closingbell.securities SET last_session = :day WHERE security_id > 36"
        connection.execute(text(gone), {"day": DAYS[5]})
    listed = {day: range(1, 37) if day > DAYS[5] else ALL for day in DAYS}
    vendor.bars = {day: [n for n in shares if n > 5 or day >= DAYS[4]] for day, shares in listed.items()}  # new: 1 to 5
    vendor.bars[DAYS[3]] = range(6, 30)
    vendor.bars[DAYS[7]] = range(1, 36)  # 36 is halted
    assert prices(DAYS[7])["inserted"] == sum(len(vendor.bars[day]) for day in DAYS[2:])
    assert [(row["session"], row["expected"], row["found"]) for row in warned(database)] == [
        (DAYS[2].isoformat(), 35, 30), (DAYS[3].isoformat(), 35, 24), (DAYS[7].isoformat(), 36, 35),
    ]  # fmt: skip


def test_history_that_two_final_answers_lack_stands(vendor, prices):
    vendor.bars = {DAYS[4]: [1]}
    for run_id, full in (("first", False), ("asked again", True)):
        with pytest.raises(load.AuditFailed, match="sessions_complete"):
            prices(DAYS[7], run_id, full=full)
    assert vendor.asked.count(DAYS[4]) == 2
    assert prices(DAYS[7])["inserted"] == 5 * 40 + 1


HISTORY = last_sessions(DAYS[7], 75)  # 54 of them before the last 21: one may be thin


def test_an_old_thin_day_of_a_first_load_is_a_warning_and_asked_for_again(vendor, prices, database, monkeypatch):
    monkeypatch.setenv("CLOSINGBELL_WARMUP_SESSIONS", "75")
    settings.cache_clear()
    vendor.bars = {HISTORY[30]: [1]}
    assert prices(DAYS[7])["inserted"] == 74 * 40 + 1
    assert [(row["session"], row["found"]) for row in warned(database)] == [(HISTORY[30].isoformat(), 1)]
    prices(DAYS[7], "the next run")
    assert vendor.asked.count(HISTORY[30]) == 2


@pytest.mark.parametrize("how", ["empty", "unreadable"])
def test_an_old_day_without_bars_stops_no_later_run_and_is_asked_for_until_it_has_some(
    how, vendor, prices, database, monkeypatch
):
    monkeypatch.setenv("CLOSINGBELL_WARMUP_SESSIONS", "75")
    settings.cache_clear()
    day = HISTORY[30]
    if how == "empty":
        vendor.bars = {day: []}
    else:
        vendor.cut = {day}
    stored = "SELECT count(*) FROM closingbell.stock_prices WHERE session = :day"
    assert prices(DAYS[6], "first")["inserted"] == 74 * 40
    assert prices(DAYS[7], "it stays so")["inserted"] == 40
    prices(DAYS[7], "a third")
    assert vendor.asked.count(day) == {"empty": 2, "unreadable": 3}[how]  # two that are read and empty stand
    assert rows(database, stored, day=day) == [(0,)]
    if how == "unreadable":
        vendor.cut = set()
        prices(DAYS[7], "whole")
        assert rows(database, stored, day=day) == [(40,)]
        assert failures.pending(database, "polygon", "grouped_daily") == []


@pytest.mark.parametrize("how", ["empty", "unreadable"])
def test_a_recent_day_without_bars_stops_a_run_and_the_next_asks_again(how, vendor, prices):
    if how == "empty":
        vendor.bars = {DAYS[5]: []}
    else:
        vendor.cut = {DAYS[5]}
    with pytest.raises(load.AuditFailed, match=r"sessions_complete found 1, .*'found': 0,.*'expected': 40"):
        prices(DAYS[7], "first")
    vendor.bars, vendor.cut = {}, set()
    assert prices(DAYS[7], "next")["inserted"] == 6 * 40
    assert [vendor.asked.count(day) for day in DAYS[2:]] == [1, 1, 1, 2, 1, 1]


@pytest.mark.parametrize("thin", [HISTORY[30:32], [HISTORY[60]]], ids=["two in a row", "a recent one"])
def test_more_thin_days_or_a_recent_one_stop_a_first_load(thin, vendor, prices, monkeypatch):
    monkeypatch.setenv("CLOSINGBELL_WARMUP_SESSIONS", "75")
    settings.cache_clear()
    vendor.bars = {day: [1] for day in thin}
    with pytest.raises(load.AuditFailed, match=r"sessions_complete found 1, .*'found': 1,.*'expected': 40"):
        prices(DAYS[7])


def test_what_is_computed_needs_a_row_of_every_share_that_traded_in_each_session(vendor, prices, database, landing):
    prices(DAYS[7])
    span = {"first": DAYS[6].isoformat(), "last": DAYS[7].isoformat()}
    asked = Run(
        dag_id="d", run_id="r", partition_key=DAYS[7].isoformat(), engine=database, landing=landing, params=span
    )

    def computed(run: Run, batch: dict[str, Any]) -> Any:
        of = [(n, day) for day in DAYS[6:] for n in (ALL if day == DAYS[7] else range(1, 36))]
        frame = pl.DataFrame(of, schema={"security_id": pl.Int64, "session": pl.Date}, orient="row")
        frame = frame.with_columns(bars=pl.lit(3), close=pl.lit(10.5))
        yield "technical_indicators", filled(database, "technical_indicators", frame)

    found = r"sessions_complete found 1, .*'found': 35,.*'expected': 40.*mend what it is computed from"
    with pytest.raises(load.AuditFailed, match=found):
        base.run_load(dataclasses.replace(LOADS["indicators"], frames=computed), asked)
