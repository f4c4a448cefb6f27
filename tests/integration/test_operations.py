"""What pages, alerts and metrics read from the warehouse."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text

from closingbell.orchestration import groups, metrics, partitions
from closingbell.pipelines import LOADS, base, reconcile
from closingbell.pipelines.base import Run
from closingbell.sessions import last_sessions
from closingbell.settings import settings
from closingbell.warehouse import db, failures

NOW = datetime(2025, 12, 8, 13, 0, tzinfo=UTC)  # Monday, 08:00 New York


@pytest.fixture(autouse=True)
def live(monkeypatch):
    monkeypatch.delenv("CLOSINGBELL_MARKET_ENDS_ON", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def run(database, landing) -> Run:
    return Run(dag_id="market_close", run_id="r", partition_key="2025-12-05", engine=database, landing=landing)


def published(engine: Engine, table: str, key: str, at: datetime, *sessions: str, run_id: str = "r") -> None:
    """A stage and its row of the ledger."""
    values: dict[str, Any] = {"id": f"{table} {key} {at}", "table": table, "key": key, "at": at, "run_id": run_id}
    values["expected"] = json.dumps({"sessions": sessions} if sessions else {})
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.stages (stage_id, dag_id, run_id, table_name, partition_key, status, expected)"
                " VALUES (:id, 'market_close', :run_id, :table, :key, 'published', CAST(:expected AS jsonb))"
            ),
            values,
        )
        connection.execute(
            text(
                "INSERT INTO ops.load_ledger (stage_id, round, dataset, partition_key, content_sha256, parser_version,"
                " rows_in, rows_inserted, rows_updated, rows_unchanged, rows_quarantined, dag_id, run_id, loaded_at)"
                " VALUES (:id, 1, :table, :key, '', '1', 60, 59, 0, 1, 0, 'market_close', :run_id, :at)"
            ),
            values,
        )


def scored(engine: Engine, *sessions: date) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE closingbell.ic_scores DISABLE TRIGGER ALL"))
        columns = connection.execute(
            text(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'closingbell'"
                " AND table_name = 'ic_scores' AND is_nullable = 'NO' AND column_default IS NULL"
            )
        ).all()
        filler = {"bigint": 1, "integer": 1, "double precision": 50.0, "text": "High", "boolean": True}
        for session in sessions:
            values = {
                name: session if name == "session" else filler.get(kind, NOW if kind.startswith("time") else "{}")
                for name, kind in columns
            }
            names = ", ".join(values)
            binds = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO closingbell.ic_scores ({names}) VALUES ({binds})"), values)


def test_sessions_without_scores_are_late_once_they_are_due(database):
    assert reconcile.late_sessions(database, NOW) == []  # a new warehouse: nothing was ever asked for
    scored(database, date(2025, 12, 2), date(2025, 12, 4))
    missing = [date(2025, 12, 3), date(2025, 12, 5)]
    assert reconcile.late_sessions(database, NOW) == missing
    friday_evening = datetime(2025, 12, 5, 21, 30, tzinfo=UTC)  # half an hour after the close
    assert reconcile.late_sessions(database, friday_evening) == missing[:1]


def bars(run: Run, *sessions: date) -> None:
    put = (
        "INSERT INTO closingbell.stock_prices (security_id, session, open, high, low, close, volume, source, final,"
        " fetched_at) VALUES (1, :day, 1, 1, 1, 1, 1, 'polygon', true, :at)"
    )
    with run.engine.begin() as connection:
        connection.execute(text(put), [{"day": day, "at": NOW - timedelta(days=9)} for day in sessions])


def test_a_session_with_bars_alone_is_scored_and_the_history_before_the_first_score_is_not(run):
    """market_close failed after it published the prices of Thursday."""

    bars(run, *(date(2025, 12, day) for day in (1, 2, 3, 4)))
    assert reconcile.sessions_to_score(run) == []
    for day in (3, 5):
        published(run.engine, "ic_scores", f"2025-12-0{day}", NOW, f"2025-12-0{day}", run_id=f"r{day}")
        scored(run.engine, date(2025, 12, day))
    assert reconcile.sessions_to_score(run) == [date(2025, 12, 4)]


def test_an_old_session_scored_by_hand_asks_for_no_scores_of_the_months_after_it(run):
    """A month of bars; of those without a score only the last ten sessions are what a run broke off."""
    month = last_sessions(date(2025, 12, 5), 21)
    bars(run, *month)
    for session in (month[0], month[-3]):
        published(run.engine, "ic_scores", session.isoformat(), NOW, session.isoformat(), run_id=f"r{session}")
        scored(run.engine, session)
    assert reconcile.sessions_to_score(run) == [*month[-10:-3], *month[-2:]]


def test_a_session_is_scored_again_where_its_ratings_or_holdings_were_loaded_after_its_score(run):
    """A consensus row counts on its session; holdings stand until their quarter is 150 days old."""
    days = [date(2025, 9, 17), date(2025, 11, 28), date(2025, 12, 4)]
    for day in days:
        published(run.engine, "ic_scores", day.isoformat(), NOW, day.isoformat(), run_id=f"r{day}")
        scored(run.engine, day)
    put = {
        "INSERT INTO closingbell.analyst_consensus (security_id, session, firms, rating_mean, strong_buys, buys, holds,"
        " sells, strong_sells, targets, last_rated_at, ratings_from, fetched_at)"
        " VALUES (1, '2025-11-28', 1, 4, 0, 1, 0, 0, 0, 0, '2025-11-26', '2024-11-28', now() + :later)": [days[1]],
        "INSERT INTO closingbell.institutional_ownership (security_id, session, quarter, known_at, holders, shares,"
        " market_value, put_shares, call_shares, filers, fetched_at)"
        " VALUES (1, '2025-08-14', '2025-06-30', '2025-08-14', 1, 1, 1, 0, 0, 1, now() + :later)": [days[0]],
    }
    for statement, expected in put.items():
        for later, found in ((timedelta(days=-1), []), (timedelta(hours=1), expected)):
            with run.engine.begin() as connection:
                connection.execute(text(statement), {"later": later})
            assert reconcile.sessions_to_score(run) == found
            with run.engine.begin() as connection:
                connection.execute(text("TRUNCATE closingbell.analyst_consensus, closingbell.institutional_ownership"))


def test_a_session_is_stale_by_rows_published_after_its_score_though_staged_before_and_by_rows_withdrawn(run):
    day, reason = date(2025, 11, 28), "ratings known by the close were loaded after the score"
    published(run.engine, "ic_scores", day.isoformat(), NOW, day.isoformat())
    published(run.engine, "analyst_consensus", day.isoformat(), NOW, day.isoformat())
    scored(run.engine, day)

    def changed(statement: str) -> dict[date, list[str]]:
        with run.engine.begin() as connection:
            connection.execute(text(statement))
        return reconcile.stale(run.engine, day, day)

    assert not changed(
        "INSERT INTO closingbell.analyst_consensus (security_id, session, firms, rating_mean, strong_buys, buys, holds,"
        " sells, strong_sells, targets, last_rated_at, ratings_from, fetched_at)"
        " VALUES (1, '2025-11-28', 1, 4, 0, 1, 0, 0, 0, 0, '2025-11-26', '2024-11-28', now() - interval '1 hour')"
    )
    of_stage = "UPDATE ops.stages SET opened_at = now() - interval '2 hours', published_at = {}" + (
        " WHERE table_name = 'analyst_consensus'"
    )
    assert not changed(of_stage.format("now() - interval '10 minutes'"))
    assert changed(of_stage.format("now() + interval '10 minutes'")) == {day: [reason]}
    assert not changed(of_stage.format("now() - interval '10 minutes'"))
    assert changed(
        "INSERT INTO ops.revisions (stage_id, table_name, key, old_row, reason) VALUES ('', 'analyst_consensus',"
        """ '{"security_id": 2, "session": "2025-11-28"}', '{}', 'no longer computed')"""
    ) == {day: [reason]}


def test_no_session_is_late_where_the_market_stands_still(database, monkeypatch):
    scored(database, date(2025, 12, 2))
    monkeypatch.setenv("CLOSINGBELL_MARKET_ENDS_ON", "2025-12-05")
    settings.cache_clear()
    assert reconcile.late_sessions(database, NOW) == []


def test_a_session_s_page_finds_the_runs_of_a_range(run):
    first, again = NOW - timedelta(days=2), NOW
    published(run.engine, "ic_scores", "2025-12-04..2025-12-05", first, "2025-12-04", "2025-12-05")
    published(run.engine, "ic_scores", "2025-12-05", again, "2025-12-05", run_id="again")
    row = db.query(run.engine, "page_session_loads", session="2025-12-05").row(0, named=True)
    assert (row["first_loaded_at"], row["loaded_at"], row["rows_in"]) == (first, again, 120)
    assert db.query(run.engine, "page_session_loads", session="2025-12-04")["loaded_at"][0] == first
    assert db.query(run.engine, "page_session_loads", session="2025-12-03").is_empty()
    partitions.claim(run, ["ic_scores", "score_inputs"], keys=["2025-12-04", "2025-12-05"])
    assert db.query(run.engine, "page_session_runs", session="2025-12-04").rows() == [("market_close", "r")]


def test_how_far_a_load_is_counts_its_own_batches_from_its_own_begin(run, monkeypatch):
    """An hour into a run's second load, half of whose batches are landed and staged."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    monkeypatch.setattr(groups, "datetime", SimpleNamespace(now=lambda _: now))
    monkeypatch.setattr(groups, "_claimed", lambda name, **_: (LOADS[name], run))
    monkeypatch.setattr(base, "land", lambda load, run, batch: batch | {"landing_ids": [1]})
    monkeypatch.setattr(base, "stage", lambda load, run, batch: {})
    monkeypatch.setattr(base, "publish", lambda load, run: {})
    sent = {}
    monkeypatch.setattr(metrics, "published", lambda run, load, tables, since: sent.update({load: since}))
    for load, opened, staged in (("universe", 240, 200), ("prices", 60, 31)):
        ids = list(base.stage_ids(LOADS[load], run).values())
        with run.engine.begin() as connection:
            for stage_id in ids:
                connection.execute(
                    text(
                        "INSERT INTO ops.stages (stage_id, dag_id, run_id, table_name, partition_key, status,"
                        " opened_at) VALUES (:id, 'market_close', 'r', :id, 'k', 'open', :at)"
                    ),
                    {"id": stage_id, "at": now - timedelta(minutes=opened)},
                )
            for n in range(8):
                connection.execute(
                    text("INSERT INTO ops.planned_batches VALUES (:id, :key, :n, '{}', CAST(:landed AS json))"),
                    {"id": ids[0], "key": str(n), "n": n, "landed": "{}" if n < 4 else None},
                )
            for n in range(4):
                connection.execute(
                    text(
                        "INSERT INTO ops.stage_batches (stage_id, batch_id, rows, inputs_sha256, staged_at)"
                        " VALUES (:id, :key, 1, '', :at)"
                    ),
                    {"id": ids[-1], "key": str(n), "at": now - timedelta(minutes=staged - n)},
                )
    part = {"number": 8, "of": 8, "batch": {"key": "the last, done before others"}}
    said = []
    monkeypatch.setattr(groups.log, "info", lambda form, *of: said.append(form % of))
    groups.land_part("prices", part)
    groups.stage_part("prices", part)
    groups.publish_load("prices")
    assert said[1] == f"4 of 8 done, expected end {now + timedelta(minutes=60):%Y-%m-%d %H:%M} UTC"
    assert said[3] == f"4 of 8 done, expected end {now + timedelta(minutes=31 / 3 * 4):%Y-%m-%d %H:%M} UTC"
    assert sent == {"prices": now - timedelta(minutes=60)}


def test_a_pod_s_rows_are_read_from_the_ledger(run):
    published(run.engine, "technical_indicators", "2025-12-05", NOW, "2025-12-05")
    published(run.engine, "technical_indicators", "2025-12-04", NOW, "2025-12-04", run_id="another")
    counts = metrics.of_ledger(run, "indicators")
    assert counts == {
        "technical_indicators": {"in": 60, "inserted": 59, "updated": 0, "unchanged": 1, "quarantined": 0}
    }


def test_the_age_of_every_table_and_of_what_has_no_session_is_sent(run, monkeypatch):
    from airflow.sdk.observability import stats

    sent = {}
    monkeypatch.setattr(stats, "gauge", lambda name, value, **_: sent.update({name: value}))
    published(run.engine, "financials", "2025-12-05", datetime.now(UTC) - timedelta(hours=1))
    metrics.ages(run)
    assert 3600 <= sent["closing_bell.financials.published_seconds_ago"] < 3700
    assert metrics.freshness(run, "sec_financials", NOW) is None
    assert metrics.freshness(run, "universe", NOW) is None
    with run.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO closingbell.companies (cik, name, valid_from, fetched_at) VALUES (1, 'A', :at, :at)"),
            {"at": NOW - timedelta(days=7)},
        )
    assert metrics.freshness(run, "universe", NOW) == 7 * 86400


def test_a_pod_step_claims_its_sessions_first_and_waits_for_who_writes_them(run, monkeypatch):
    from airflow.sdk.exceptions import TaskDeferred

    from closingbell.orchestration.pod_operator import PipelinePodOperator
    from closingbell.pipelines import base

    monkeypatch.setenv("CLOSINGBELL_DATABASE_URL", run.engine.url.render_as_string(hide_password=False))
    settings.cache_clear()
    monkeypatch.setattr(base, "open_run", lambda *of: replace(run, run_id=of[1], partition_key=of[2], params=of[3]))
    sent = {}
    monkeypatch.setattr(metrics, "published", lambda run, load, tables, since: sent.update({load: tables}))
    published(run.engine, "technical_indicators", "2025-12-04..2025-12-05", NOW)
    dag_run = SimpleNamespace(dag_id="market_close", run_id="r", partition_key=None, run_after=NOW)
    form = {"session": "2025-12-04", "last_session": "2025-12-05"}
    step = PipelinePodOperator(
        task_id="indicators", command=[sys.executable, "-c"], arguments=["pass"], cpu=1, memory="1Gi",
        load="indicators", by_session=True,
    )  # fmt: skip
    type(step).execute.__wrapped__(step, {"dag_run": dag_run, "params": form})
    with run.engine.connect() as connection:
        held = connection.execute(text("SELECT table_name, partition_key FROM ops.partition_claims ORDER BY 2")).all()
    assert held == [("technical_indicators", "2025-12-04"), ("technical_indicators", "2025-12-05")]
    assert sent["indicators"]["technical_indicators"]["inserted"] == 59

    monkeypatch.setattr(partitions, "active_in_airflow", lambda runs: runs)
    dag_run.run_id = "another"
    with pytest.raises(TaskDeferred) as deferred:
        type(step).execute.__wrapped__(step, {"dag_run": dag_run, "params": form})
    assert deferred.value.method_name == "resume"


def test_a_runs_page_keeps_its_failures_when_a_later_run_fails_at_the_same_key(database):
    def shown(run_id: str) -> list[tuple[Any, ...]]:
        found = db.query(database, "page_run_failures", dag_id="universe", run_id=run_id, most=9)
        return found.select("key", "error", "attempts", pl.col("resolved_at").is_not_null()).rows()

    of = (database, "sec_edgar", "submissions")
    for run_id, error in (("first", "503"), ("first", "504"), ("second", "404")):
        failures.record(*of, "0000320193", error, "universe", run_id)
    assert shown("first") == [("0000320193", "504", 2, False)]
    assert shown("second") == [("0000320193", "404", 1, False)]
    assert failures.pending(*of) == ["0000320193"]
    failures.resolve(*of, "0000320193")
    failures.record(*of, "0000320193", "500", "universe", "third")
    assert shown("first") == [("0000320193", "504", 2, True)]
    assert shown("second") == [("0000320193", "404", 1, True)]
    assert shown("third") == [("0000320193", "500", 1, False)]
