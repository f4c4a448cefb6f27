"""Bars from the vendors that are asked ticker by ticker equal the ground truth too, class shares among them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl
import pytest
from load_steps import rows
from sqlalchemy import text

from closingbell.hooks.errors import AuthFailed
from closingbell.hooks.tiingo import Tiingo
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, market_close, ticker_vendors
from closingbell.pipelines.base import Run
from closingbell.sessions import close_of, last_sessions
from closingbell.settings import settings
from closingbell.warehouse import db, load


@pytest.fixture
def deployed(sandbox, market, database, tmp_path, monkeypatch):
    """Makes runs of a deployment with 30 sessions of warm-up; `at` sets the vendors' clock so long after a close."""
    monkeypatch.setenv("CLOSINGBELL_WARMUP_SESSIONS", "30")
    landing = Landing(str(tmp_path), database)

    class Deployed:
        def vendor(self, name: str) -> None:
            monkeypatch.setenv("CLOSINGBELL_PRICE_VENDOR", name)
            settings.cache_clear()

        def at(self, session: date, *, hours: float = 2.1) -> None:
            sandbox[1].clock = close_of(session) + timedelta(hours=hours)

        def new(self, name: str, session: date, run_id: str = "r", **params) -> Run:
            return Run(
                dag_id=name, run_id=run_id, partition_key=session.isoformat(), engine=database, landing=landing,
                params=params,
            )  # fmt: skip

        def run(self, name: str, session: date, run_id: str = "r", **params) -> dict:
            return base.run_load(LOADS[name], self.new(name, session, f"{run_id} {session}", **params))

        def landed(self, endpoint: str) -> int:
            return rows(database, "SELECT count(*) FROM ops.landings WHERE endpoint = :e", e=endpoint)[0][0]

    yield Deployed()
    settings.cache_clear()


def assert_bars(database, market, session: date, truth: pl.DataFrame) -> None:
    tickers = db.query(database, "ticker_history").filter(pl.col("valid_to").is_null())
    stored = db.query(database, "last_bars", first=session, last=session).join(tickers, on="security_id")
    columns = ["ticker", "open", "high", "low", "close", "volume"]
    listed = truth.with_columns(pl.col("ticker").str.replace("-", ".", literal=True)).filter(
        pl.col("ticker").is_in(stored["ticker"].implode())
    )
    assert stored.height >= 22
    assert market.cases["class_b_ticker"].replace("-", ".") in set(stored["ticker"])
    for mine, theirs in zip(sorted(stored.select(columns).rows()), sorted(listed.select(columns).rows()), strict=True):
        assert mine[0] == theirs[0]
        assert mine[1:] == pytest.approx(theirs[1:], rel=1e-6), (session, mine[0])


def test_a_range_loads_before_its_first_session_what_that_session_alone_would():
    first, last = date(2025, 11, 21), date(2025, 11, 24)
    alone = ticker_vendors.window_of([first])
    assert len(alone) == settings().warmup_sessions
    assert ticker_vendors.window_of([first, last]) == [*alone, last]


def test_bars_of_yahoo_are_asked_by_ticker(deployed, market, database):
    deployed.vendor("yahoo")
    last = market.last_session
    deployed.run("universe", last)
    assert market_close.vendor_complete(deployed.new("prices", last))
    deployed.run("prices", last)
    for session in last_sessions(last, 12)[::5]:
        truth = market.truth.provisional_bars(session) if session == last else market.truth.bars(session)
        assert_bars(database, market, session, truth)
    # Yahoo tells splits with the bars: earlier ones are not known, nor any of a share without bars
    first = dict(rows(database, "SELECT security_id, min(session) FROM closingbell.stock_prices GROUP BY 1"))
    known = dict(db.query(database, "splits_known_from").rows())
    assert known == {security_id: first.get(security_id) for security_id in known}
    assert first.keys() <= known.keys()


def test_tiingo_gives_a_session_in_one_answer_and_by_ticker_only_what_that_lacks(deployed, market, database):
    deployed.vendor("tiingo")
    before, last = last_sessions(market.last_session, 2)
    deployed.at(before)
    deployed.run("universe", before)
    assert market_close.vendor_complete(deployed.new("prices", before))
    deployed.run("prices", before)
    history = deployed.landed("daily_prices")
    assert history >= 22  # the warm-up: one a ticker

    deployed.at(last, hours=1)  # bars are due 90 minutes after the close
    assert not market_close.vendor_complete(deployed.new("prices", last))
    deployed.at(last)
    assert market_close.vendor_complete(deployed.new("prices", last))
    asked = deployed.landed("daily_all")
    (batch, *again) = base.plan(LOADS["prices"], deployed.new("prices", last))
    assert batch["key"] == f"all tickers {last}"
    assert deployed.landed("daily_all") == asked + 1
    owing = {ticker: first for part in again for ticker, first in part["tickers"].items()}
    listed = db.query(database, "listed_tickers", session=last, tickers=None)["ticker"].to_list()
    assert set(owing) == set(listed)  # the morning after was missed: the session before is not final yet
    deployed.run("prices", last)
    assert_bars(database, market, last, market.truth.provisional_bars(last))
    assert_bars(database, market, before, market.truth.bars(before))

    (one, *rest) = base.plan(LOADS["prices"], deployed.new("prices", last, "again"))
    assert (one["key"], rest) == (f"all tickers {last}", [])  # nobody owes anything
    history = deployed.landed("daily_prices")
    counts = deployed.run("prices", last, "again")
    assert counts["stock_prices"]["inserted"] == counts["stock_prices"]["updated"] == 0
    assert deployed.landed("daily_prices") == history

    hole = last_sessions(last, 20)[0]  # which only one answer has covered so far
    with database.begin() as connection:
        gone = "DELETE FROM closingbell.stock_prices WHERE session = :day AND security_id = (SELECT security_id " \
            "FROM closingbell.borne_tickers WHERE ticker = :ticker AND valid_to IS NULL)"  # fmt: skip
        connection.execute(text(gone), {"day": hole, "ticker": listed[0]})
    counts = deployed.run("prices", last, "holed")["stock_prices"]
    assert (counts["inserted"], deployed.landed("daily_prices")) == (1, history + 1)
    assert_bars(database, market, hole, market.truth.bars(hole))

    deployed.at(last, hours=16)  # 08:00 of the day after
    deployed.run("reconcile", last)
    assert deployed.landed("daily_prices") == history + 1
    assert_bars(database, market, last, market.truth.bars(last))
    # a class by another name might be a note where nobody types it: nobody asks for it by ticker
    scored = "SELECT DISTINCT final FROM closingbell.stock_prices JOIN closingbell.securities USING (security_id)"
    assert rows(database, f"{scored} WHERE type = 'CS'") == [(True,)]


def test_a_plan_of_tiingo_without_the_answer_of_all_tickers_asks_each(deployed, market, database, monkeypatch):
    def refused(self):
        raise AuthFailed("tiingo", "daily_all", "latest", 403, "your plan lacks this")

    deployed.vendor("tiingo")
    monkeypatch.setattr(Tiingo, "daily_all", refused)
    last = market.last_session
    deployed.run("universe", last)
    assert market_close.vendor_complete(deployed.new("prices", last))
    listed = set(db.query(database, "listed_tickers", session=last, tickers=None)["ticker"])
    assert {t for batch in base.plan(LOADS["prices"], deployed.new("prices", last)) for t in batch["tickers"]} == listed


def test_a_retry_asks_only_for_tickers_that_are_not_landed_since_the_run_opened(deployed, market, database):
    deployed.vendor("tiingo")
    last = market.last_session
    deployed.run("universe", last)
    run = deployed.new("prices", last)
    batches = base.plan(LOADS["prices"], run)
    base.open_stages(LOADS["prices"], run, batches)
    batch = batches[-1]
    first = LOADS["prices"].land(run, batch)
    history = deployed.landed("daily_prices")
    assert LOADS["prices"].land(run, batch) == first
    assert deployed.landed("daily_prices") == history


@pytest.mark.parametrize("vendor", ["tiingo", "yahoo"])
def test_a_session_that_the_vendor_has_not_fails_the_audit(vendor, deployed, market, database):
    deployed.vendor(vendor)
    before, last = last_sessions(market.last_session, 2)
    deployed.run("universe", last)
    deployed.at(before)
    with pytest.raises(load.AuditFailed, match=rf"sessions_complete.*{last}"):  # nothing is stored before
        deployed.run("prices", last)
    deployed.run("prices", before)
    with pytest.raises(load.AuditFailed, match=rf"sessions_complete found 1.*{last}"):
        deployed.run("prices", last, "again")


def test_a_hole_is_asked_for_until_a_second_final_answer_has_no_bar_either(database):
    """A halted day: the vendor has no bar, and says so by omission (PITFALLS 24)."""
    days = last_sessions(date(2025, 12, 5), 4)
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.securities (security_id, name, type, first_session, fetched_at) "
                "VALUES (1, 'A', 'CS', :first, now()), (2, 'C', 'CS', NULL, now())"
            ),
            {"first": days[1]},
        )
        put = text(
            "INSERT INTO closingbell.stock_prices "
            "(security_id, session, open, high, low, close, volume, source, final, fetched_at) "
            "VALUES (:id, :day, 1, 1, 1, 1, 1, 'tiingo', true, now())"
        )
        connection.execute(put, [{"id": 1, "day": day} for day in days[2:]])
        connection.execute(put, [{"id": 2, "day": day} for day in days])

    def holes(**changed):
        found = db.query(
            database, "price_holes",
            **{
                "security_ids": [1, 2], "tickers": ["A-B", "C"], "sessions": days, "last": days[-1], "given": [],
                "again": [], "vendor": "tiingo", "endpoint": "daily_prices", **changed,
            },
        )  # fmt: skip
        return sorted(found.rows())

    def answered(at: datetime) -> None:
        with database.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO ops.landings (vendor, endpoint, key, request, path, sha256, bytes, answered_at) "
                    "VALUES ('tiingo', 'daily_prices', :key, '{}', 'p', 's', 1, :at)"
                ),
                {"key": f"A-B:{days[1]}:{days[-1]}", "at": at},
            )

    assert holes() == [(1, days[1], 1)]  # not days[0]: it was not listed
    assert holes(again=[days[-1]]) == [(1, days[1], 2), (2, days[-1], 1)]
    assert holes(sessions=days[2:]) == []
    answered(close_of(days[1]))  # the vendor may still correct it
    answered(close_of(days[3]))
    assert holes() == [(1, days[1], 1)]
    answered(close_of(days[3]))
    assert holes() == []
    assert holes(again=[days[-1]]) == [(1, days[-1], 1), (2, days[-1], 1)]


def test_holes_anywhere_in_the_window_are_planned_the_newest_first(database, landing, monkeypatch):
    """Polygon's sessions: a share without a bar 300 sessions ago, and more of them than a run asks for."""
    days = last_sessions(date(2025, 12, 5), settings().warmup_sessions)
    holed = [days[-301], *days[-61:-31]]
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.securities (security_id, name, type, fetched_at) "
                "VALUES (1, 'A', 'CS', now()), (2, 'C', 'CS', now())"
            )
        )
        put = text(
            "INSERT INTO closingbell.stock_prices "
            "(security_id, session, open, high, low, close, volume, source, final, fetched_at) "
            "VALUES (:id, :day, 1, 1, 1, 1, 1, 'polygon', true, now())"
        )
        bars = [{"id": id_, "day": day} for day in days[:-1] for id_ in (1, 2) if (id_, day in holed) != (1, True)]
        connection.execute(put, bars)
    run = Run(dag_id="d", run_id="r", partition_key=days[-1].isoformat(), engine=database, landing=landing)

    def again() -> list[date]:
        batches = market_close.plan(run)
        return [date.fromisoformat(day) for batch in batches for day in batch.get("again", ())]

    assert again() == holed[-market_close.GAP_SESSIONS :]
    with database.begin() as connection:
        put = text(
            "INSERT INTO ops.landings (vendor, endpoint, key, request, path, sha256, bytes, answered_at) "
            "VALUES ('polygon', 'grouped_daily', :key, '{}', 'p', 's', 1, now())"
        )
        settled = [{"key": day.isoformat()} for day in holed[1:]]
        connection.execute(put, settled * 2)
    assert again() == [days[-301]]
