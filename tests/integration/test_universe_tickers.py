"""CLOSINGBELL_TICKERS: a deployment that works on a list of stocks, its schedule included."""

from __future__ import annotations

import pytest

from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.settings import settings
from closingbell.warehouse import db


@pytest.fixture
def run(sandbox, market, database, tmp_path, monkeypatch):
    """Makes runs by Yahoo."""
    monkeypatch.setenv("CLOSINGBELL_PRICE_VENDOR", "yahoo")
    settings.cache_clear()

    def make(name: str, run_id: str, **params) -> Run:
        return Run(
            dag_id=name, run_id=run_id, partition_key=market.last_session.isoformat(), engine=database,
            landing=Landing(str(tmp_path), database), params=params,
        )  # fmt: skip

    yield make
    settings.cache_clear()


def test_scheduled_runs_take_the_settings_tickers(run, market, database, monkeypatch):
    ciks = {row["ticker"]: row["cik_str"] for row in market.company_tickers(market.default_clock).values()}
    listed = [ticker for ticker in ciks if "-" not in ticker]
    class_b = market.cases["class_b_ticker"].replace(".", "-")  # as SEC spells it
    other, *chosen = listed[0], listed[1], class_b
    base.run_load(LOADS["universe"], run("universe", "by hand", tickers=[other]))
    known = set(db.query(database, "universe_ciks")["cik"])
    monkeypatch.setenv("CLOSINGBELL_TICKERS", f" {chosen[0].lower()},{class_b}, GONE")
    settings.cache_clear()

    base.run_load(LOADS["universe"], run("universe", "scheduled"))
    assert set(db.query(database, "universe_ciks")["cik"]) == known | {ciks[ticker] for ticker in chosen}
    assert known == {ciks[other]}  # stays
    counts = base.replay(LOADS["universe"], run("universe", "replay"))  # SEC's list names everybody
    assert {found[name] for found in counts.values() for name in ("inserted", "updated", "deleted")} == {0}

    asked = [ticker for batch in base.plan(LOADS["prices"], run("prices", "scheduled")) for ticker in batch["tickers"]]
    assert sorted(asked) == sorted([chosen[0], class_b.replace("-", ".")])
    (batch,) = base.plan(LOADS["prices"], run("prices", "by hand", tickers=[other]))  # the form wins
    assert list(batch["tickers"]) == [other]


def test_a_setting_without_one_known_ticker_is_refused(run, monkeypatch):
    monkeypatch.setenv("CLOSINGBELL_TICKERS", "NOBODYS")
    settings.cache_clear()
    with pytest.raises(ValueError, match=r"NOBODYS.*spell them as SEC does"):
        base.plan(LOADS["universe"], run("universe", "scheduled"))
