"""Housekeeping on a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from load_steps import bars, rows, staged, staging_tables
from sqlalchemy import text

from closingbell.hooks.answer import Answer
from closingbell.landing import LandingError
from closingbell.orchestration import partitions
from closingbell.pipelines import housekeeping
from closingbell.pipelines.base import Run
from closingbell.warehouse import load, retention


def test_abandoned_stages_and_stray_tables_are_dropped_and_live_ones_kept(database, landing):
    old, live = staged(database, "old", {"b": bars([(1, 1.0)])}), staged(database, "live", {"b": bars([(1, 1.0)])})
    with database.begin() as connection:
        connection.execute(
            text("UPDATE ops.stages SET opened_at = now() - interval '8 days' WHERE stage_id = :id"), {"id": old}
        )
        connection.execute(text("CREATE TABLE staging.stock_prices_of_nobody ()"))
    assert retention.housekeep(database, landing)["stages"] == 2
    assert [name for name in staging_tables(database) if live not in name] == []
    assert rows(database, "SELECT run_id, status FROM ops.stages ORDER BY 1") == [
        ("live", "open"),
        ("old", "abandoned"),
    ]
    told = "stock_prices: the stage of run old was abandoned .* clear `open` with what follows"
    with pytest.raises(load.StageError, match=told):
        load.audit(database, old)
    with pytest.raises(load.StageError, match=told):  # a cleared stage task, without its open task
        load.stage_batch(database, old, "b", bars([(1, 1.0)]), inputs_sha256="again")
    assert rows(database, "SELECT status FROM ops.stages WHERE run_id = 'old'") == [("abandoned",)]
    assert staged(database, "old", {"b": bars([(1, 1.0)])}) == old  # a cleared run starts again
    assert retention.housekeep(database, landing)["stages"] == 0


def test_a_run_that_waits_keeps_its_stage_however_old_and_one_that_ended_does_not(database, landing):
    """Deferred until a vendor's budget resets, or a command at work for days."""
    kept = {"waits": staged(database, "waits", {"b": bars([(1, 1.0)])})}
    command = Run(dag_id="market_close", run_id="command", partition_key="*", engine=database, landing=landing)
    kept["command"] = staged(database, "command", {"b": bars([(1, 1.0)])})
    staged(database, "ended", {"b": bars([(1, 1.0)])})
    with database.begin() as connection:
        connection.execute(text("UPDATE ops.stages SET opened_at = now() - interval '30 days'"))
    living = partitions.living(database, lambda runs: [run for run in runs if run[1] == "waits"])
    with partitions.claimed_by_command(command, ["corporate_actions"]):
        assert retention.housekeep(database, landing, living=living)["stages"] == 1
    status = dict(rows(database, "SELECT run_id, status FROM ops.stages"))
    assert status == {"waits": "open", "command": "open", "ended": "abandoned"}
    held = staging_tables(database)
    assert all(any(stage_id in name for name in held) for stage_id in kept.values())


def test_plans_of_runs_that_published_or_were_given_up_are_dropped_after_the_stages_hours(database, landing):
    """market_close fills two tables; its plan stands with the first one's stage."""
    at = "clock_timestamp() - make_interval(hours => :ago)"
    stage = (
        "INSERT INTO ops.stages (stage_id, dag_id, run_id, table_name, partition_key, status, opened_at, published_at)"
        f" VALUES (:id, 'market_close', :run, :table, 'x', :status, now() - interval '90 days',"
        f" CASE :status WHEN 'published' THEN {at} END)"
    )
    plan = (
        "INSERT INTO ops.planned_batches (stage_id, key, number, batch)"
        " SELECT :id, n, n, '{}' FROM generate_series(1, 3) n"
    )
    runs = {  # (status and hours since it published) of the stages of either table
        "published": (("published", 169), ("published", 169)),
        "just published": (("published", 167), ("published", 169)),
        "half published": (("published", 169), ("audited", 0)),
        "abandoned": (("abandoned", 0), ("abandoned", 0)),
    }
    with database.begin() as connection:
        for run, tables in runs.items():
            for table, (status, ago) in zip(("corporate_actions", "stock_prices"), tables, strict=True):
                id_ = f"{run} {table}"
                values = {"id": id_, "run": run, "table": table, "status": status, "ago": ago}
                connection.execute(text(stage), values)
            connection.execute(text(plan), {"id": f"{run} corporate_actions"})
    waits = {("market_close", "half published")}
    counts = retention.housekeep(database, landing, living=lambda runs: waits)
    assert counts["planned_batches"] == 6
    kept = rows(database, "SELECT DISTINCT run_id FROM ops.planned_batches JOIN ops.stages USING (stage_id) ORDER BY 1")
    assert kept == [("half published",), ("just published",)]


def test_a_dry_run_counts_what_would_go_and_removes_nothing(database, landing):
    at = datetime.now(UTC) - timedelta(days=5000)
    for body in (b"1", b"2"):
        landing.put(
            Answer(
                vendor="sec_edgar", endpoint="company_tickers", key="all", request={}, body=body, content_type=None,
                answered_at=at, fetched_at=at,
            )
        )  # fmt: skip
    old = staged(database, "old", {"b": bars([(1, 1.0)])})
    run = Run(dag_id="housekeeping", run_id="r", partition_key="x", engine=database, landing=landing)
    with database.begin() as connection:
        connection.execute(text("UPDATE ops.stages SET opened_at = now() - interval '8 days'"))
        connection.execute(text("CREATE TABLE staging.stock_prices_of_nobody ()"))
        plan = "INSERT INTO ops.planned_batches (stage_id, key, number, batch) VALUES (:id, 'b', 1, '{}')"
        connection.execute(text(plan), {"id": old})
        taken = (
            "INSERT INTO ops.quarantine (stage_id, table_name, rule, content, quarantined_at)"
            " VALUES (:id, 'stock_prices', 'r', '{}', now() - interval '9 years')"
        )
        connection.execute(text(taken), {"id": old})
        failed = (
            "INSERT INTO ops.run_failures (vendor, endpoint, key, error, dag_id, run_id, failed_at)"
            " VALUES ('yahoo', 'chart', 'A', 'e', 'd', 'r', now() - interval '9 years')"
        )
        connection.execute(text(failed))
    tables = staging_tables(database)
    would = housekeeping.clean(replace(run, params={"dry_run": True}), lambda runs: ())
    assert would == {
        "stages": 2, "planned_batches": 1, "audit_results": 0, "quarantine": 1, "run_failures": 1, "revisions": 0,
        "landings": 1,
    }  # fmt: skip
    assert staging_tables(database) == tables
    assert rows(database, "SELECT status FROM ops.stages") == [("open",)]
    assert len(list(Path(landing.root).rglob("*.gz"))) == 2
    assert housekeeping.clean(run, lambda runs: ()) == would


def test_old_landings_go_but_the_newest_answer_to_each_question_stays(database, landing):
    def put(body: bytes, days: int, key: str = "all") -> int:
        at = datetime.now(UTC) - timedelta(days=days)
        return landing.put(
            Answer(
                vendor="sec_edgar", endpoint="company_tickers", key=key, request={}, body=body, content_type=None,
                answered_at=at, fetched_at=at,
            )
        )  # fmt: skip

    first, shared, last = put(b"1", 30), put(b"2", 20), put(b"2", 5)
    only = put(b"3", 30, key="other")
    assert retention.drop_landings(database, landing, days=10) == 2
    for gone in (first, shared):
        with pytest.raises(LandingError):
            landing.read(gone)
    assert (landing.read(last).body, landing.read(only).body) == (b"2", b"3")
    assert len(list(Path(landing.root).rglob("*.gz"))) == 2


def test_an_answer_that_a_published_row_came_from_stays(database, landing):
    def put(body: bytes, days: int) -> int:
        at = datetime.now(UTC) - timedelta(days=days)
        return landing.put(
            Answer(
                vendor="polygon", endpoint="grouped_daily", key="2025-12-05", request={}, body=body, content_type=None,
                answered_at=at, fetched_at=at,
            )
        )  # fmt: skip

    first, between, last = put(b"1", 30), put(b"2", 20), put(b"3", 15)
    load.audit(database, stage_id := staged(database, "r", {"b": bars([(1, 1.0)], landing_id=first)}))
    load.publish(database, stage_id)
    assert retention.drop_landings(database, landing, days=10) == 1
    assert [landing.read(id_).body for id_ in (first, last)] == [b"1", b"3"]
    with pytest.raises(LandingError):
        landing.read(between)


def test_audits_and_revisions_past_their_days_are_deleted_and_the_ledger_is_not(database, landing):
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.revisions (stage_id, table_name, key, old_row, revised_at) "
                "VALUES ('s', 't', '{}', '{}', now() - interval '20 years'), ('s', 't', '{}', '{}', now())"
            )
        )
        connection.execute(
            text(
                "INSERT INTO ops.audit_results (stage_id, expectation, severity, passed, audited_at) "
                "VALUES ('s', 'e', 'info', true, now() - interval '500 days'), ('s2', 'e', 'info', true, now())"
            )
        )
    counts = retention.housekeep(database, landing)
    assert (counts["revisions"], counts["audit_results"], counts["quarantine"]) == (1, 1, 0)
