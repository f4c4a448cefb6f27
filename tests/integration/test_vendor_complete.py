"""When the vendor of grouped daily bars has a session complete: measured by the one before, or by what is listed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import text

from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import NoBars
from closingbell.pipelines import market_close, ticker_vendors
from closingbell.pipelines.base import Run
from closingbell.sessions import close_of
from closingbell.settings import settings

SESSION, BEFORE = date(2025, 12, 4), date(2025, 12, 3)


class Vendor:
    """Stands for Polygon: bars of the first `tickers` shares, as it answers at `at`."""

    tickers = 0
    at = datetime(2025, 12, 4, 23, tzinfo=UTC)

    def grouped_daily(self, session: date) -> Answer:
        moment = int(close_of(session).timestamp() * 1000)
        bar = {"o": 10.0, "h": 11.0, "l": 9.0, "c": 10.5, "v": 1000, "vw": 10.2, "n": 5, "t": moment}
        results = [{"T": f"S{number}", **bar} for number in range(1, self.tickers + 1)]
        body = {"adjusted": False, "queryCount": len(results), "resultsCount": len(results), "status": "OK"}
        at = self.at
        return Answer(
            vendor="polygon", endpoint="grouped_daily", key=session.isoformat(), request={"method": "GET"},
            body=json.dumps({**body, "results": results}).encode(), content_type=None, answered_at=at, fetched_at=at,
        )  # fmt: skip

    def close(self) -> None:
        pass


@pytest.fixture
def complete(database: Any, landing: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """complete(tickers): whether a vendor with so many bars is; 100 shares are listed, nothing is stored."""
    monkeypatch.delenv("CLOSINGBELL_MARKET_ENDS_ON", raising=False)
    settings.cache_clear()
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.securities (security_id, name, type, fetched_at) "
                "SELECT n, 'S' || n, 'CS', now() FROM generate_series(1, 100) n;"
                "INSERT INTO closingbell.ticker_history (ticker, valid_from, security_id, fetched_at) "
                "SELECT 'S' || n, '2020-01-02', n, now() FROM generate_series(1, 100) n"
            )
        )
    vendor = Vendor()
    monkeypatch.setattr(market_close, "open_hook", lambda name, engine: vendor)
    run = Run(dag_id="prices", run_id="r", partition_key=SESSION.isoformat(), engine=database, landing=landing)

    def ask(tickers: int, at: datetime = Vendor.at) -> bool:
        vendor.tickers, vendor.at = tickers, at
        return market_close.vendor_complete(run)

    yield ask
    settings.cache_clear()


def traded(database: Any, shares: int) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.stock_prices (security_id, session, open, high, low, close, volume, source,"
                " final, fetched_at)"
                " SELECT n, :day, 1, 1, 1, 1, 1, 'polygon', true, now() FROM generate_series(1, :shares) n"
            ),
            {"day": BEFORE, "shares": shares},
        )


def test_the_first_session_is_complete_with_half_of_the_listed_shares(complete):
    assert [complete(1), complete(49), complete(50)] == [False, False, True]


def test_a_session_after_one_of_hardly_any_bars_too(complete, database):
    traded(database, 2)  # one ticker's history was loaded
    assert [complete(2), complete(50)] == [False, True]


def test_a_session_is_measured_by_the_shares_that_traded_before(complete, database):
    traded(database, 90)
    assert [complete(85), complete(86)] == [False, True]  # 95 % are 85.5


def test_a_market_that_stands_still_has_what_it_has(complete, monkeypatch):
    monkeypatch.setenv("CLOSINGBELL_MARKET_ENDS_ON", SESSION.isoformat())
    settings.cache_clear()
    assert [complete(0), complete(1)] == [False, True]


def test_a_session_without_any_bar_is_waited_for_five_sessions_and_then_refused(complete):
    assert not complete(0, datetime(2025, 12, 11, 23, tzinfo=UTC))  # the fifth session after it has closed
    with pytest.raises(NoBars, match=r"polygon bars 2025-12-04 .* no bar of any ticker, and 5 sessions .* ask for a"):
        complete(0, datetime(2025, 12, 12, 23, tzinfo=UTC))
    assert not complete(1, datetime(2025, 12, 12, 23, tzinfo=UTC))


def test_a_vendor_asked_by_ticker_refuses_such_a_session_too(complete, landing, monkeypatch):
    monkeypatch.setenv("CLOSINGBELL_PRICE_VENDOR", "yahoo")
    settings.cache_clear()
    empty = Answer(
        vendor="tiingo", endpoint="daily_prices", key="S1:2025-12-02:2025-12-04", request={"method": "GET"},
        body=b"[]", content_type=None, answered_at=Vendor.at, fetched_at=Vendor.at,
    )  # fmt: skip
    answers = [landing.put(empty)]
    monkeypatch.setattr(ticker_vendors, "open_hook", lambda *_: Vendor())
    monkeypatch.setattr(ticker_vendors, "land", lambda *_: answers)
    assert not complete(0)
    later = datetime(2025, 12, 12, 23, tzinfo=UTC)
    answers[:] = [landing.put(replace(empty, answered_at=later, fetched_at=later))]
    with pytest.raises(NoBars, match="tiingo bars 2025-12-04"):
        complete(0)
