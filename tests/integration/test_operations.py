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
from score_rows import indicator, insert, landed, mood, valuation
from score_rows import statement as statement_row
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


def bars(run: Run, *sessions: date, security_id: int = 1, landing_id: int | None = None) -> None:
    put = (
        "INSERT INTO closingbell.stock_prices (security_id, session, open, high, low, close, volume, source, final,"
        " landing_id, fetched_at) VALUES (:id, :day, 1, 1, 1, 1, 1, 'polygon', true, :landing_id, :at)"
    )
    of = {"id": security_id, "landing_id": landing_id, "at": NOW - timedelta(days=9)}
    with run.engine.begin() as connection:
        connection.execute(text(put), [of | {"day": day} for day in sessions])


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
    bars(run, *days)
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
    for security_id in (1, 2):
        bars(run, day, security_id=security_id)

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


@pytest.fixture
def two_scored(run) -> Run:
    """Two sessions with bars of the share of company 1, scored; company 2's share has none yet."""
    days = (date(2025, 11, 28), date(2025, 12, 4))
    insert(run.engine, "securities", [
        {"security_id": id_, "cik": id_, "name": "One", "type": "CS"} for id_ in (1, 2)
    ])  # fmt: skip
    bars(run, *days)
    for day in days:
        published(run.engine, "ic_scores", day.isoformat(), NOW, day.isoformat(), run_id=f"r{day}")
        scored(run.engine, day)
    with run.engine.begin() as connection:
        connection.execute(text("UPDATE closingbell.ic_scores SET known_at = session + interval '21 hours'"))
    assert stale_of(run) == {}
    return run


def stale_of(run: Run) -> dict[int, str]:
    """{day of the month: the first word of each reason}"""
    found = reconcile.stale(run.engine, date(2024, 11, 1), date(2025, 12, 5))
    return {session.day: " ".join(reason.split()[0] for reason in reasons) for session, reasons in found.items()}


def revised(run: Run, table: str, key: dict[str, Any], old_row: dict[str, Any]) -> None:
    put = (
        "INSERT INTO ops.revisions (stage_id, table_name, key, old_row)"
        " VALUES ('', :table, CAST(:key AS jsonb), CAST(:old AS jsonb))"
    )
    with run.engine.begin() as connection:
        values = {"table": table, "key": json.dumps(key), "old": json.dumps(key | old_row)}
        connection.execute(text(put), values)


def test_statements_of_years_ago_that_come_late_are_growth_of_a_share_that_traded(two_scored):
    """A year of filings first, the whole history later."""
    run = two_scored
    known_at = datetime(2021, 2, 3, tzinfo=UTC)
    for cik, end, expected in ((2, date(2020, 12, 31), {}), (1, date(2016, 12, 31), {}),
                               (1, date(2020, 12, 31), {28: "statements", 4: "statements"})):  # fmt: skip
        brought = landed(run.engine, "financials", "sec_edgar", "companyfacts", f"{cik} {end}")
        insert(run.engine, "financials", [statement_row(cik, end, "FY", known_at, landing_id=brought)])
        assert stale_of(run) == expected


def test_a_statement_that_was_withdrawn_or_changed_marks_the_sessions_that_knew_it(two_scored):
    key = {"cik": 1, "period_end": "2025-09-30", "period_type": "Q", "known_on": "2025-12-01"}
    revised(two_scored, "financials", key | {"cik": 2}, {"known_at": "2025-12-01T12:00:00+00:00"})
    assert stale_of(two_scored) == {}
    revised(two_scored, "financials", key, {"known_at": "2025-12-01T12:00:00+00:00"})
    assert stale_of(two_scored) == {4: "statements"}


def test_a_replay_that_gives_no_new_statement_marks_no_session(run):
    """Its stage has the landing, whose rows stay as they are."""
    brought = landed(run.engine, "financials", "sec_edgar", "companyfacts", "1")
    insert(run.engine, "securities", [{"security_id": 1, "cik": 1, "name": "One", "type": "CS"}])
    known_at = datetime(2025, 11, 3, tzinfo=UTC)
    insert(run.engine, "financials", [statement_row(1, date(2025, 9, 30), "Q", known_at, landing_id=brought)])
    day = date(2025, 11, 28)
    bars(run, day)
    published(run.engine, "ic_scores", day.isoformat(), NOW, day.isoformat())
    scored(run.engine, day)
    published(run.engine, "financials", "replay", NOW)
    with run.engine.begin() as connection:
        connection.execute(text("UPDATE ops.stages SET published_at = now() WHERE table_name = 'financials'"))
        connection.execute(
            text(
                "INSERT INTO ops.stage_batches (stage_id, batch_id, rows, inputs_sha256, landing_ids)"
                " SELECT stage_id, 'b', 1, '', ARRAY[:id] FROM ops.stages WHERE table_name = 'financials'"
            ),
            {"id": brought},
        )
    assert stale_of(run) == {}


def test_a_split_that_its_vendor_took_back_marks_what_follows_it(two_scored):
    split = {"security_id": 1, "kind": "split"}
    for day, kind, expected in (
        ("2025-12-01", "dividend", {}), ("2025-12-05", "split", {}), ("2025-12-01", "split", {4: "bars"}),
    ):  # fmt: skip
        ratio = {"numerator": 10.0, "denominator": 1.0}
        revised(two_scored, "corporate_actions", split | {"ex_date": day, "kind": kind}, ratio)
        assert stale_of(two_scored) == expected


@pytest.mark.parametrize(("days", "expected"), [(570, {28: "bars", 4: "bars"}), (640, {})])
def test_a_late_bar_marks_as_far_as_indicators_look_back(two_scored, days, expected):
    """400 bars are 580 days."""
    brought = landed(two_scored.engine, "stock_prices", "polygon", "grouped_daily", "a day")
    bars(two_scored, date(2025, 11, 28) - timedelta(days=days), landing_id=brought)
    assert stale_of(two_scored) == expected


def test_what_a_score_reads_of_a_row_makes_it_stale_and_nothing_else_does(two_scored):
    run, day = two_scored, date(2025, 12, 4)
    later = datetime.now(UTC) + timedelta(hours=1)

    def remade(table: str, row: dict[str, Any], old_row: dict[str, Any]) -> dict[int, str]:
        """The row was there, the old one, when the session was scored."""
        insert(run.engine, table, [row])
        with run.engine.begin() as connection:
            connection.execute(text(f"UPDATE closingbell.{table} SET fetched_at = :at"), {"at": later})
        key = {"security_id": row["security_id"], "session": row["session"].isoformat()}
        revised(run, table, key, old_row)
        found = stale_of(run)
        with run.engine.begin() as connection:
            connection.execute(text(f"TRUNCATE closingbell.{table}, ops.revisions"))
        return found

    moods = {"sentiment_7d": 0.1, "sentiment_30d": -0.1}
    new_mood = mood(1, day, 3, NOW)  # 0.1 and -0.1
    assert remade("sentiment_daily", new_mood, moods | {"articles_7d": 9, "by_source": "{}"}) == {}
    assert remade("sentiment_daily", new_mood, moods | {"sentiment_7d": 0.2}) == {4: "news"}
    assert remade("sentiment_daily", mood(2, day, 3, NOW), moods | {"sentiment_7d": 0.2}) == {}  # it did not trade
    read = dict.fromkeys(
        ("macd_histogram", "sma_50", "adx_14", "return_3m", "return_6m", "return_12m")
    ) | {"close": 10.0, "rsi_14": 45.0, "return_1m": 0.05}  # fmt: skip
    assert remade("technical_indicators", indicator(1, day, 5), read | {"bars": 399}) == {}
    assert remade("technical_indicators", indicator(1, day, 5), read | {"rsi_14": 46.0}) == {4: "indicators"}
    yields = {"market_cap": 1e9, "earnings_yield": 0.1, "book_yield": None, "sales_yield": None}
    yields |= {"statement_period_end": "2023-09-30"}
    assert remade("valuation_ratios", valuation(1, day, 5), yields | {"pe_ratio": 9.0}) == {}
    assert remade("valuation_ratios", valuation(1, day, 5), yields | {"market_cap": 2e9}) == {4: "market"}


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
