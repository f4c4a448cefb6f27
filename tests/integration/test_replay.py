"""A replay finds nothing to change, mends what was altered, and removes what a mended parser no longer gives."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import polars as pl
import pytest
from load_steps import rows
from sqlalchemy import text

from closingbell.fundamentals import parse
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.settings import settings

BARS = "SELECT security_id, session, open, close, volume, source, final FROM closingbell.stock_prices ORDER BY 1, 2"


@pytest.fixture
def database(database_with_universe):
    return database_with_universe


@pytest.fixture
def run(sandbox, market, database, with_universe, tmp_path, monkeypatch):
    """Makes runs of a small simulated universe, which is loaded."""
    monkeypatch.setenv("CLOSINGBELL_WARMUP_SESSIONS", "5")
    settings.cache_clear()
    shutil.copytree(with_universe[1], tmp_path, dirs_exist_ok=True)
    landing, session = Landing(str(tmp_path), database), market.last_session.isoformat()

    def make(run_id: str, **params) -> Run:
        return Run(
            dag_id="d", run_id=run_id, partition_key=session, engine=database, landing=landing, params=params
        )  # fmt: skip

    return make


def changed(counts: dict) -> dict[str, int]:
    return {
        table: sum(found[name] for name in ("inserted", "updated", "deleted")) for table, found in counts.items()
    }  # fmt: skip


def test_prices_are_rebuilt_from_what_was_landed(run, database):
    prices = LOADS["prices"]
    base.run_load(prices, run("first"))
    base.run_load(prices, run("again", full=True))  # every session landed twice, equal
    held = rows(database, BARS)
    assert set(changed(base.replay(prices, run("r1"))).values()) == {0}
    _execute(database, "UPDATE closingbell.stock_prices SET close = close * 2 WHERE security_id % 2 = 0")
    _execute(database, "DELETE FROM closingbell.stock_prices WHERE security_id % 5 = 0")
    assert changed(base.replay(prices, run("r2")))["stock_prices"] > 0
    assert rows(database, BARS) == held


def test_a_derived_row_that_is_no_longer_computed_goes(run, database):
    for name in ("prices", "indicators"):
        base.run_load(LOADS[name], run("first"))
    held = rows(database, "SELECT security_id, session, close FROM closingbell.technical_indicators ORDER BY 1, 2")
    _execute(
        database,
        "INSERT INTO closingbell.technical_indicators (security_id, session, bars, fetched_at)"
        " SELECT 1, max(session), 1, now() FROM closingbell.technical_indicators",
    )
    assert changed(base.replay(LOADS["indicators"], run("r1"))) == {"technical_indicators": 1}
    assert held == rows(
        database, "SELECT security_id, session, close FROM closingbell.technical_indicators ORDER BY 1, 2"
    )


def test_financials_are_rebuilt_and_what_is_no_longer_given_goes(run, database, monkeypatch):
    load = LOADS["sec_financials"]
    asked = rows(database, "SELECT min(ticker) FROM closingbell.borne_tickers GROUP BY security_id ORDER BY 1 LIMIT 8")
    tickers = [ticker for (ticker,) in asked]
    base.run_load(load, run("first", tickers=tickers))
    again = base.run_load(load, run("again", tickers=tickers, full=True))
    assert set(changed(again).values()) == {0}
    held = _statements(database)
    replayed = changed(base.replay(load, run("r1")))
    assert replayed.pop("filings") > 0  # of companies whose submissions the universe landed
    assert set(replayed.values()) == {0}
    _execute(database, "UPDATE closingbell.financials SET revenue = 1")
    _execute(database, "UPDATE closingbell.financial_facts SET value = 1 WHERE concept = 'Assets'")
    assert changed(base.replay(load, run("r2")))["financials"] > 0
    assert _statements(database) == held

    # both answers of a company gave these rows, and the first one's id is in them
    companyfacts = parse.companyfacts
    monkeypatch.setattr(
        parse, "companyfacts", lambda body: companyfacts(body).filter(pl.col("concept") != "Liabilities")
    )
    gone = "SELECT count(*) FROM closingbell.financial_facts WHERE concept = 'Liabilities'"
    ((facts,),) = rows(database, gone)
    counts = base.replay(load, run("mended"))
    assert counts["financial_facts"]["deleted"] == facts > 0
    assert rows(database, gone) == [(0,)]


def test_what_is_published_while_a_replay_runs_stays(sandbox, market, run, database, monkeypatch):
    """A company's newer facts, landed after the replay chose its answers, are none that they no longer give."""
    load, audit = LOADS["sec_financials"], base.audit
    sandbox[1].clock = datetime(2025, 8, 1, 23, tzinfo=UTC)
    asked = rows(database, "SELECT min(ticker) FROM closingbell.borne_tickers GROUP BY security_id ORDER BY 1 LIMIT 3")
    tickers = [ticker for (ticker,) in asked]
    base.run_load(load, run("first", tickers=tickers))
    before = len(_statements(database))

    def audit_then_another_publishes(load: base.Load, of: Run) -> dict:
        counts = audit(load, of)
        monkeypatch.setattr(base, "audit", audit)
        sandbox[1].clock = market.default_clock
        base.run_load(load, run("fresh", tickers=tickers))
        held.extend(_statements(database))
        return counts

    held: list[tuple] = []
    monkeypatch.setattr(base, "audit", audit_then_another_publishes)
    counts = base.replay(load, run("r1"))
    assert len(held) > before
    assert {found["deleted"] for found in counts.values()} == {0}
    assert _statements(database) == held


def _statements(engine) -> list[tuple]:
    facts = "SELECT cik, concept, period_end, accession_no, unit, value FROM closingbell.financial_facts"
    statements = "SELECT cik, period_end, period_type, known_on, revenue, total_assets FROM closingbell.financials"
    return sorted([*rows(engine, facts), *rows(engine, statements)], key=str)


def _execute(engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))
