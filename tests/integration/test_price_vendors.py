"""Bars from the vendors that are asked ticker by ticker equal the ground truth too, class shares among them."""

from __future__ import annotations

import polars as pl
import pytest

from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, market_close
from closingbell.pipelines.base import Run
from closingbell.sessions import last_sessions
from closingbell.settings import settings
from closingbell.warehouse import db


@pytest.mark.parametrize("vendor", ["tiingo", "yahoo"])
def test_bars_of_a_vendor_that_is_asked_by_ticker(vendor, sandbox, market, database, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOSINGBELL_PRICE_VENDOR", vendor)
    monkeypatch.setenv("CLOSINGBELL_WARMUP_SESSIONS", "30")
    settings.cache_clear()
    last = market.last_session

    def run(name: str) -> Run:
        return Run(
            dag_id=name, run_id="r", partition_key=last.isoformat(), engine=database,
            landing=Landing(str(tmp_path), database),
        )  # fmt: skip

    base.run_load(LOADS["universe"], run("universe"))
    assert market_close.vendor_complete(run("prices"))
    base.run_load(LOADS["prices"], run("prices"))
    tickers = db.query(database, "ticker_history").filter(pl.col("valid_to").is_null())
    for session in last_sessions(last, 12)[::5]:
        truth = market.truth.provisional_bars(session) if session == last else market.truth.bars(session)
        stored = db.query(database, "last_bars", first=session, last=session).join(tickers, on="security_id")
        columns = ["ticker", "open", "high", "low", "close", "volume"]
        listed = truth.with_columns(pl.col("ticker").str.replace("-", ".", literal=True)).filter(
            pl.col("ticker").is_in(stored["ticker"].implode())
        )
        assert stored.height >= 22
        assert market.cases["class_b_ticker"].replace("-", ".") in set(stored["ticker"])
        for mine, theirs in zip(
            sorted(stored.select(columns).rows()), sorted(listed.select(columns).rows()), strict=True
        ):
            assert mine[0] == theirs[0]
            assert mine[1:] == pytest.approx(theirs[1:], rel=1e-6), (session, mine[0])
    settings.cache_clear()
