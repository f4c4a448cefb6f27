"""The tables of a load come out the same again: loaded once more, in parts, with holes, with faults, next morning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl
import pytest
from deployment import PIPELINES, Deployment, deployed
from sqlalchemy import text

from closingbell.pipelines import market_close, reconcile
from closingbell.pipelines.base import Run
from closingbell.sandbox.server import open_market
from closingbell.sessions import NEW_YORK, last_sessions
from closingbell.warehouse import db

WARMUP = 40
COMPARED = (
    "companies", "securities", "class_shares", "ticker_history", "index_members", "filings", "financial_facts",
    "financials", "corporate_actions", "stock_prices", "technical_indicators", "valuation_ratios", "ic_scores",
    "score_inputs",
)  # fmt: skip
FAULTS = '{"429": 0.1, "5xx": 0.05, "truncated": 0.03, "duplicates": 0.05}'


@pytest.fixture(scope="module")
def market() -> Any:
    return open_market("simulated", seed=7, companies=25)


@pytest.fixture(scope="module")
def last(market: Any) -> date:
    return market.last_session


@pytest.fixture(scope="module")
def clean(market, last, new_database, migrated_template, tmp_path_factory) -> Iterator[Deployment]:
    """Everything loaded once, without faults, at the sandbox's own time: two hours after the last close."""
    url, folder = new_database(migrated_template), tmp_path_factory.mktemp("clean")
    for deployment in deployed(market, url, folder, warmup=WARMUP):
        for name in PIPELINES:
            deployment.run(name, "first", last)
        deployment.first = {table: deployment.rows(table) for table in COMPARED}
        yield deployment


def test_splits_are_asked_for_once_and_every_day_of_them(clean, last):
    def asked_from(session: date, **params: Any) -> date:
        run = Run(
            dag_id="prices", run_id="none", partition_key=session.isoformat(), engine=clean.engine,
            landing=clean.landing, params=params,
        )  # fmt: skip
        return next(date.fromisoformat(b["splits_from"]) for b in market_close.plan(run) if "splits_from" in b)

    first, announced = last - timedelta(days=market_close.SPLIT_DAYS), timedelta(days=market_close.ANNOUNCED_DAYS)
    known = db.query(clean.engine, "splits_known_from")
    assert known.height >= 25
    assert known["known_from"].unique().to_list() == [first]
    assert asked_from(last) == last - announced  # only what may have been announced or corrected since
    # 101 days without a run: the sessions' window begins later, and the answer told nothing of the days after it
    assert last_sessions(last + timedelta(days=101), WARMUP)[0] > last + timedelta(days=1)
    assert asked_from(last + timedelta(days=101)) == last + timedelta(days=1)
    assert asked_from(last - timedelta(days=7)) == first - timedelta(days=7)  # a backfill reads further back
    assert asked_from(last, full=True) == first


def test_every_metric_of_a_score_leads_to_its_filings_and_raw_answers(clean):
    statement = text(
        "SELECT source_key ->> 0 AS source, i.session, accession_nos, i.known_at, s.known_at AS close, landing_ids,"
        " answers_sha256,"
        " (SELECT count(*) FROM closingbell.filings f WHERE f.accession_no = ANY(accession_nos)) AS filed"
        " FROM closingbell.score_inputs_by_metric i JOIN closingbell.ic_scores s USING (security_id, session)"
    )
    with clean.engine.connect() as connection:
        found = connection.execute(statement).all()
    assert {row.source for row in found} == {"financials", "valuation_ratios", "technical_indicators"}
    for row in found:
        assert clean.landing.sha256(row.landing_ids)
        assert row.answers_sha256
        if row.source == "technical_indicators":
            assert row.accession_nos is None
        else:
            assert len(row.accession_nos) == row.filed
            assert row.known_at <= row.close


def test_an_identical_rerun_changes_no_row(clean, last):
    for name in PIPELINES:
        for table, counts in clean.run(name, "again", last).items():
            assert counts["inserted"] == counts["updated"] == counts["deleted"] == 0, (name, table, counts)
    assert {table: clean.rows(table) for table in COMPARED} == clean.first


def test_gaps_are_found_and_filled(clean, last):
    """A session that is wholly gone, and one share's bar of another; the session's other bars stay as they are."""
    before = clean.rows("stock_prices")
    keys = [day.isoformat() for day in last_sessions(last, 20)[:-1]]
    finals = db.query(clean.engine, "final_answers", vendor="polygon", endpoint="grouped_daily", keys=keys)
    holed = min(date.fromisoformat(key) for key, answers in finals.rows() if answers == 1)  # not asked again so far
    gone = last_sessions(last, 30)[0]
    with clean.engine.begin() as connection:
        connection.execute(text("DELETE FROM closingbell.stock_prices WHERE session = :day"), {"day": gone})
        connection.execute(
            text(
                "DELETE FROM closingbell.stock_prices WHERE session = :day AND security_id = "
                "(SELECT min(security_id) FROM closingbell.stock_prices WHERE session = :day)"
            ),
            {"day": holed},
        )
    counts = clean.run("prices", "gaps", last)["stock_prices"]
    assert counts["updated"] == counts["deleted"] == 0
    assert clean.rows("stock_prices") == before


def test_a_backfill_of_sessions_gives_the_same_bytes_as_one_by_one(clean, last):
    sessions = last_sessions(last, 3)
    for name in ("prices", "indicators", "valuation_ratios", "scores"):
        for session in sessions:
            clean.run(name, f"daily {session}", session)
    days = {"first": sessions[0].isoformat(), "last": sessions[-1].isoformat()}
    for name in ("prices", "indicators", "valuation_ratios", "scores"):
        for table, counts in clean.run(name, "backfill", last, **days).items():
            assert counts["inserted"] == counts["updated"] == counts["deleted"] == 0, (name, table, counts)


def test_with_faults_the_tables_equal_those_of_a_clean_run_row_for_row(
    clean, market, last, new_database, migrated_template, tmp_path
):
    for faulty in deployed(market, new_database(migrated_template), tmp_path, warmup=WARMUP, faults=FAULTS):
        for name in PIPELINES:
            for attempt in range(4):  # what Airflow's retries, and the next scheduled run, would do
                faulty.run(name, f"try {attempt}", last)
                if not db.query(faulty.engine, "doctor_failures").height:
                    break
        for table in COMPARED:
            assert set(faulty.rows(table)) ^ set(clean.first[table]) == set(), table


def test_the_morning_after_brings_the_final_bars_and_scores_again(clean, market, last):
    """Late in the file: it moves the sandbox's clock."""
    morning = datetime.combine(last + timedelta(days=1), time(7, 5), NEW_YORK)
    clean.box.clock = morning.astimezone(UTC)
    counts = clean.run("reconcile", "morning", last)
    assert counts["stock_prices"]["updated"] > 0
    figis = db.query(clean.engine, "securities_all").select("security_id", "figi")
    _assert_bars(clean, figis, last, market.truth.bars(last), final=True)
    run = Run(
        dag_id="reconcile", run_id="morning", partition_key=last.isoformat(), engine=clean.engine, landing=clean.landing
    )
    assert reconcile.sessions_to_score(run) == [last]
    clean.run("scores", "again in the morning", last)
    assert reconcile.sessions_to_score(run) == []


def _assert_bars(
    deployment: Deployment, figis: pl.DataFrame, session: date, truth: pl.DataFrame, *, final: bool
) -> None:
    stored = deployment.of_session("stock_prices", session).join(figis, on="security_id")
    columns = ["figi", "open", "high", "low", "close", "volume", "vwap", "trades"]
    assert sorted(stored.select(columns).rows()) == sorted(truth.select(columns).rows()), session
    assert stored["final"].unique().to_list() == [final]
