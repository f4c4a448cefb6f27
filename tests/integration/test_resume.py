"""A load that was stopped goes on with its plan and asks nothing again; a dry run leaves nothing behind."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import date
from typing import Any

import polars as pl
import pytest
from load_steps import Stopped, bars, filled, killed_before_publishing, loaded
from sqlalchemy import Engine, text

from closingbell.hooks.sec_edgar import SecEdgar
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, sec_financials, universe
from closingbell.pipelines.base import Load, Run
from closingbell.settings import settings
from closingbell.warehouse import load as warehouse

OPS = (
    "landings", "stages", "stage_batches", "planned_batches", "load_ledger", "audit_results", "quarantine",
    "published_landings", "fetch_failures", "revisions",
)  # fmt: skip


@pytest.fixture
def database(database_with_universe: Engine) -> Engine:
    return database_with_universe


@pytest.fixture
def run(sandbox, database, with_universe, tmp_path, monkeypatch) -> Any:
    """run(dag_id, run_id, **params): financials of three companies, each a batch; the universe by nine a batch."""
    monkeypatch.setattr(sec_financials, "COMPANIES_PER_BATCH", 1)
    monkeypatch.setattr(universe, "COMPANIES_PER_BATCH", 9)
    shutil.copytree(with_universe[1], tmp_path, dirs_exist_ok=True)
    landing = Landing(str(tmp_path), database)

    def make(dag_id: str, run_id: str, **params: Any) -> Run:
        params = {"limit": 3} | params if dag_id == "sec_financials" else params
        return Run(
            dag_id=dag_id, run_id=run_id, partition_key="2025-12-05", engine=database, landing=landing, params=params
        )

    return make


@pytest.mark.parametrize("name", ["sec_financials", "universe"])
def test_a_load_killed_after_a_batch_goes_on_with_the_rest_and_ends_as_one_left_alone(name, run, database, monkeypatch):
    load, staged = LOADS[name], []
    before = _landings(database)

    def stage(name: str, number: int) -> Any:
        def frames(run: Run, landed: base.Batch) -> Any:
            if len(staged) == number:
                raise Stopped
            staged.append(landed["key"])
            return load.frames(run, landed)

        return dataclasses.replace(load, frames=frames)

    with pytest.raises(Stopped):
        base.run_load(stage(name, 1), run(name, "mine"))
    kept = "SELECT key FROM ops.planned_batches JOIN ops.stages USING (stage_id) WHERE run_id = 'mine' ORDER BY number"
    planned = _column(database, kept)
    assert staged == planned[:1]
    counts = base.run_load(_unplanned(stage(name, 99)), run(name, "mine"))
    assert staged == planned
    assert len(planned) >= 3
    again = [key for key, count in _landings(database).items() if count > before.get(key, 0) + 1]
    assert again == []  # asked once each, though the second batch was landed before the kill
    assert sum(table["inserted"] for table in counts.values()) > 0 or name == "universe"
    alone = base.run_load(load, run(name, "alone", full=True))
    assert all(table["inserted"] == table["updated"] == table["deleted"] == 0 for table in alone.values())


def test_a_load_killed_between_two_tables_publishes_the_rest_only(run, database):
    with killed_before_publishing("financial_facts"):
        base.run_load(LOADS["sec_financials"], run("sec_financials", "mine"))
    landed = _landings(database)
    base.run_load(_unplanned(LOADS["sec_financials"]), run("sec_financials", "mine"))
    assert _landings(database) == landed
    ledger = "SELECT dataset || ' ' || round FROM ops.load_ledger WHERE run_id = 'mine' ORDER BY 1"
    assert _column(database, ledger) == ["filings 1", "financial_facts 1", "financials 1"]


def test_statements_of_a_run_that_ended_between_two_tables_are_made_by_the_next_one(run, database, monkeypatch):
    monkeypatch.setattr(sec_financials, "COMPANIES_PER_BATCH", 100)
    with killed_before_publishing("financials"):
        base.run_load(LOADS["sec_financials"], run("sec_financials", "mine", limit=None))
    assert _column(database, "SELECT DISTINCT cik::text FROM closingbell.financials") == []
    base.run_load(LOADS["sec_financials"], run("sec_financials", "next", limit=None))
    with_facts = _column(database, "SELECT DISTINCT cik::text FROM closingbell.financial_facts ORDER BY 1")
    assert _column(database, "SELECT DISTINCT cik::text FROM closingbell.financials ORDER BY 1") == with_facts


def test_a_run_that_has_published_or_failed_its_audit_is_planned_anew(run, database):
    load, plans = LOADS["sec_financials"], []

    def plan(run: Run) -> list[base.Batch]:
        plans.append(run.run_id)
        return load.plan(run)

    counted = dataclasses.replace(load, plan=plan)
    base.run_load(counted, run("sec_financials", "mine"))
    base.run_load(counted, run("sec_financials", "mine", full=True))
    demanding = dataclasses.replace(counted, expected=lambda run, batches: {"financials": {"ciks": [1, 2, 3]}})
    with pytest.raises(warehouse.AuditFailed):
        base.run_load(demanding, run("sec_financials", "failed", full=True))
    base.run_load(counted, run("sec_financials", "failed", full=True))
    assert plans == ["mine", "mine", "failed", "failed"]


def test_a_derived_load_that_was_stopped_is_computed_again(database, tmp_path):
    """Bars may have been corrected since it was staged, by an override for instance."""
    mine = Run(
        dag_id="market_close", run_id="mine", partition_key="2025-12-05", engine=database,
        landing=Landing(str(tmp_path), database),
    )  # fmt: skip

    def computed(rsi: float) -> Load:
        row = {"security_id": 1, "session": date(2025, 12, 5), "bars": 20, "close": 10.0, "rsi_14": rsi}
        frame = filled(database, "technical_indicators", pl.DataFrame([row]))
        return dataclasses.replace(
            LOADS["indicators"], frames=lambda run, batch: iter([("technical_indicators", frame)])
        )

    loaded(database, "bars of the session", bars([(1, 10.0)]))
    before = dataclasses.replace(computed(40.0), expected=lambda run, batches: {})
    (batch,) = base.plan(before, mine)
    base.open_stages(before, mine, [batch])
    base.stage(before, mine, base.land(before, mine, batch))
    after = dataclasses.replace(computed(60.0), expected=lambda run, batches: {})
    base.run_load(after, mine)
    assert _column(database, "SELECT rsi_14 FROM closingbell.technical_indicators") == [60.0]


@pytest.mark.parametrize("name", ["universe", "sec_financials", "prices", "reconcile"])
def test_a_dry_run_writes_nothing(name, run, database, tmp_path, monkeypatch):
    def no_zip(*_: Any) -> None:
        raise AssertionError("a dry run fetches no bulk zip")

    monkeypatch.setattr(SecEdgar, "companyfacts_zip", no_zip)
    monkeypatch.setattr(SecEdgar, "submissions_zip", no_zip)
    monkeypatch.setattr(sec_financials, "BULK_OVER", 5)
    monkeypatch.setattr(universe, "BULK_OVER", 5)
    monkeypatch.setenv("CLOSINGBELL_LANDING", str(tmp_path))
    settings.cache_clear()
    rows, files = _ops(database), sorted(tmp_path.rglob("*"))
    batches = base.plan(LOADS[name], base.open_run(name, "dry", "2025-12-05", {"dry_run": True}))
    assert batches or name == "reconcile"
    assert _ops(database) == rows
    assert sorted(tmp_path.rglob("*")) == files


def _unplanned(load: Load) -> Load:
    def plan(run: Run) -> list[base.Batch]:
        raise AssertionError("a run that goes on is not planned again")

    return dataclasses.replace(load, plan=plan)


def _landings(engine: Engine) -> dict[str, int]:
    """{endpoint and key: landings}."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT endpoint || ' ' || key, count(*) FROM ops.landings GROUP BY 1"))
        return dict(rows.all())  # type: ignore[arg-type]


def _ops(engine: Engine) -> dict[str, int]:
    return {table: _column(engine, f"SELECT count(*) FROM ops.{table}")[0] for table in OPS}


def _column(engine: Engine, statement: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(statement)).scalars())
