"""The simulated market's own account against what the pipelines publish, clean, again, in parts and with faults."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text

from closingbell import connections
from closingbell.fundamentals.compute import RATIOS
from closingbell.fundamentals.versions import FIGURES
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, market_close, reconcile
from closingbell.pipelines.base import Run
from closingbell.sandbox.faults import rates
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.scores.factors import FACTORS
from closingbell.sessions import NEW_YORK, close_of, last_sessions
from closingbell.settings import settings
from closingbell.warehouse import db
from fixtures import plain_metrics

PIPELINES = ("universe", "sec_financials", "prices", "indicators", "valuation_ratios", "scores")
WARMUP = 60
COMPARED = (
    "companies", "securities", "class_shares", "ticker_history", "index_members", "filings", "financial_facts",
    "financials", "corporate_actions", "stock_prices", "technical_indicators", "valuation_ratios", "ic_scores",
    "score_inputs",
)  # fmt: skip
FAULTS = '{"429": 0.1, "5xx": 0.05, "truncated": 0.03, "duplicates": 0.05}'


@dataclasses.dataclass
class Deployment:
    """A warehouse, a landing zone, and the sandbox that the connections point at."""

    engine: Engine
    landing: Landing
    box: Sandbox
    first: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # the tables after the first load

    def run(self, name: str, run_id: str, session: date, **params: Any) -> dict[str, dict[str, int]]:
        run = Run(
            dag_id=name, run_id=run_id, partition_key=session.isoformat(), engine=self.engine, landing=self.landing,
            params=params,
        )  # fmt: skip
        return base.run_load(LOADS[name], run)

    def rows(self, table: str) -> list[str]:
        """Every row without lineage, as text, in order."""
        statement = f"SELECT (to_jsonb(t) - 'landing_id' - 'fetched_at')::text FROM closingbell.{table} t ORDER BY 1"
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement)).scalars())

    def of_session(self, table: str, session: date) -> pl.DataFrame:
        """Whole rows of one session."""
        statement = text(f"SELECT * FROM closingbell.{table} WHERE session = :session")
        with self.engine.connect() as connection:
            rows = connection.execute(statement, {"session": session}).mappings()
            return pl.DataFrame([dict(row) for row in rows], infer_schema_length=None)


@pytest.fixture(scope="module")
def market() -> Any:
    return open_market("simulated", seed=7, companies=25)


@pytest.fixture(scope="module")
def last(market: Any) -> date:
    return market.last_session


def deployed(market: Any, url: str, folder: Any, faults: str = "") -> Iterator[Deployment]:
    box = Sandbox(market, mode="simulated", seed=7, faults=rates(faults) if faults else None)
    with pytest.MonkeyPatch.context() as environment, running(box) as address:
        for name, value in connections.environment(address).items():
            environment.setenv(name, value)
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        environment.setenv("CLOSINGBELL_WARMUP_SESSIONS", str(WARMUP))
        settings.cache_clear()
        engine = db.engine(url)
        yield Deployment(engine, Landing(str(folder), engine), box)
    settings.cache_clear()


@pytest.fixture(scope="module")
def clean(market, last, new_database, migrated_template, tmp_path_factory) -> Iterator[Deployment]:
    """Everything loaded once, without faults, at the sandbox's own time: two hours after the last close."""
    for deployment in deployed(market, new_database(migrated_template), tmp_path_factory.mktemp("clean")):
        for name in PIPELINES:
            deployment.run(name, "first", last)
        deployment.first = {table: deployment.rows(table) for table in COMPARED}
        yield deployment


def test_statements_equal_the_ground_truth_as_known_on_three_sessions(clean, market):
    for session in (date(2019, 11, 1), date(2023, 5, 10), market.last_session):
        as_of = close_of(session)
        with clean.engine.connect() as connection:
            published = db.query(connection, "financials_as_of", as_of=as_of, ciks=None)
        key = ["cik", "period_type", "period_end"]
        values = [*FIGURES, *RATIOS]
        truth = market.truth.statements(as_of)
        assert published.height > 500
        assert sorted(published.select(key).rows()) == sorted(truth.select(key).rows())
        both = truth.join(published, on=key, suffix="_published")
        for value in values:
            wrong = both.filter(~_close(pl.col(value), pl.col(f"{value}_published")))
            assert wrong.is_empty(), (session, value, wrong.select(*key, value, f"{value}_published").head(5))


def test_bars_equal_the_ground_truth_provisional_for_the_last_session_alone(clean, market, last):
    figis = db.query(clean.engine, "securities_all").select("security_id", "figi")
    for session in (*last_sessions(last, 3)[:2], last_sessions(last, WARMUP)[0], last):
        truth = market.truth.provisional_bars(session) if session == last else market.truth.bars(session)
        _assert_bars(clean, figis, session, truth, final=session != last)


def test_actions_equal_the_ground_truth(clean, market, last):
    figis = db.query(clean.engine, "securities_all").select("security_id", "figi")
    first = last - timedelta(days=market_close.SPLIT_DAYS)
    stored = db.query(clean.engine, "score_splits", last=last + timedelta(days=90)).join(figis, on="security_id")
    truth = market.truth.actions(market.default_clock).filter(
        (pl.col("kind") == "split") & pl.col("ex_date").is_between(first, last + timedelta(days=45))
    )
    columns = ["figi", "ex_date", "numerator", "denominator"]
    assert sorted(stored.select(columns).rows()) == sorted(truth.select(columns).rows())
    assert stored["ex_date"].min() < last_sessions(last, WARMUP)[0]


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


def test_indicators_follow_from_the_ground_truths_bars_on_one_split_basis(clean, market, last):
    sessions = last_sessions(last, 22)
    figis = db.query(clean.engine, "securities_all").select("security_id", "figi")
    splits = market.truth.actions().filter(pl.col("kind") == "split")
    closes: dict[str, list[float]] = {}
    for session in sessions:
        truth = market.truth.provisional_bars(session) if session == last else market.truth.bars(session)
        for figi, close in truth.select("figi", "close").rows():
            later = splits.filter(
                (pl.col("figi") == figi) & pl.col("ex_date").is_between(session, last, closed="right")
            )
            for old, new in later.select("denominator", "numerator").rows():
                close *= old / new
            closes.setdefault(figi, []).append(close)
    rows = clean.of_session("technical_indicators", last).join(figis, on="security_id")
    whole = [row for row in rows.iter_rows(named=True) if len(closes[row["figi"]]) == len(sessions)]
    assert len(whole) >= 20
    for row in whole:
        series = closes[row["figi"]]
        assert row["sma_20"] == pytest.approx(sum(series[-20:]) / 20, rel=1e-9)
        assert row["return_1m"] == pytest.approx(series[-1] / series[0] - 1, rel=1e-9)
        assert row["roc_10"] == pytest.approx((series[-1] / series[-11] - 1) * 100, rel=1e-6, abs=1e-9)


def test_valuations_follow_from_the_ground_truths_statements_and_closes(clean, market, last):
    truth = market.truth.statements(close_of(last))
    listed = market.truth.securities(close_of(last)).filter(pl.col("last_session").is_null())
    single = listed.filter((pl.len().over("cik") == 1) & (pl.col("type") == "CS"))
    closes = dict(market.truth.provisional_bars(last).select("figi", "close").rows())
    ids = dict(db.query(clean.engine, "securities_all").select("figi", "security_id").rows())
    stored = {
        row["security_id"]: row
        for row in db.query(clean.engine, "score_valuations", first=last, last=last).iter_rows(named=True)
    }
    recent = {row["cik"] for row in market.truth.actions().filter(
        (pl.col("kind") == "split") & (pl.col("ex_date") > last - timedelta(days=550))
    ).iter_rows(named=True)}  # fmt: skip
    checked = 0
    for row in single.filter(~pl.col("cik").is_in(recent)).iter_rows(named=True):
        of = truth.filter(pl.col("cik") == row["cik"]).sort("period_end")
        trailing = of.filter(pl.col("period_type") == "TTM").tail(1)
        balance = of.filter((pl.col("period_type") != "TTM") & pl.col("shares_outstanding").is_not_null()).tail(1)
        if trailing.is_empty() or balance.is_empty() or (last - trailing["period_end"].item()).days > 200:
            continue
        market_cap = balance["shares_outstanding"].item() * closes[row["figi"]]
        found = stored[ids[row["figi"]]]["earnings_yield"]
        if found is None:  # the filer in euros
            assert row["cik"] == market.cases["ifrs"]
            continue
        assert found == pytest.approx(trailing["net_income"].item() / market_cap, rel=1e-9), row["cik"]
        checked += 1
    assert checked >= 15


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


def test_each_ticker_is_the_security_that_bore_it_on_each_session(clean, market, last):
    history = db.query(clean.engine, "ticker_history")
    ciks = dict(db.query(clean.engine, "securities_all").select("security_id", "cik").rows())
    for session in (market.first_session, date(2024, 3, 1), last):
        held = history.filter(
            (pl.col("valid_from") <= session) & (pl.col("valid_to").is_null() | (pl.col("valid_to") >= session))
        )
        found = {ticker: ciks[security_id] for ticker, security_id in held.select("ticker", "security_id").rows()}
        assert market.truth.ticker_on(session).items() <= found.items(), session


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
    for faulty in deployed(market, new_database(migrated_template), tmp_path, faults=FAULTS):
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


def test_every_metric_of_the_scores_follows_from_the_ground_truth_on_three_sessions(clean, market, last):
    """After the clock's test: earlier sessions that are scored would be found to have gaps between them.

    Their bars are 18, 53 and 62 (the backfill's first session brought two more), so that none has a return over 3, 6 or
    12 months, and the first but an RSI. Yields are those of companies with one class, in dollars: several classes are
    weighted, see the tests of valuation.
    """
    sessions = [last_sessions(last, WARMUP)[at] for at in (15, 50, 59)]
    for session in sessions:
        for name in ("indicators", "valuation_ratios", "scores"):
            clean.run(name, f"metrics {session}", session)
    final = clean.of_session("stock_prices", last)["final"].all()
    truths = [
        market.truth.bars(day) if day != last or final else market.truth.provisional_bars(day)
        for day in last_sessions(last, WARMUP + 2)
    ]
    bars = pl.concat(truths)
    listed = {row["figi"]: row for row in market.truth.securities(close_of(last)).to_dicts()}
    classes = Counter(row["cik"] for row in listed.values())
    splits = market.truth.actions().filter(kind="split")
    figis = dict(db.query(clean.engine, "securities_all").select("security_id", "figi").rows())
    names = {metric.name for factor in FACTORS for metric in factor.metrics}
    statement = text(
        "SELECT security_id, jsonb_object_agg(m.key, m.value -> 0) FROM closingbell.score_inputs"
        " CROSS JOIN LATERAL jsonb_each(inputs) AS m WHERE session = :session GROUP BY security_id"
    )
    compared: Counter[str] = Counter()
    companies, split_before = set(), set()
    for session in sessions:
        with clean.engine.connect() as connection:
            stored = dict(connection.execute(statement, {"session": session}).tuples().all())
        for security_id, raws in stored.items():
            share = listed[figis[security_id]]
            own = splits.filter(figi=share["figi"]).to_dicts()
            traded = bars.filter((pl.col("figi") == share["figi"]) & (pl.col("session") <= session)).sort("session")
            account = plain_metrics.Account(market, share["cik"], session)
            expected = plain_metrics.of_statements(account, own) | plain_metrics.of_bars(traded, own)
            single = classes[share["cik"]] == 1 and share["cik"] != market.cases["ifrs"]
            if single:
                expected |= plain_metrics.of_value(account, own, traded["close"][-1])
            expected = {name: value for name, value in expected.items() if value is not None}
            found = {name: raw for name, raw in raws.items() if single or not name.endswith("_yield")}
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), (session, share["cik"])
            compared.update(list(found))
            companies.add(share["cik"])
            if "eps_growth" in found and any(
                account.filed("eps_diluted", row) < split["ex_date"] < truths[0]["session"][0]
                for row in plain_metrics.ends_of_growth(account, "eps_diluted")
                for split in own
            ):
                split_before.add(share["cik"])
    assert len(companies) >= 20
    assert set(compared) == names - {"return_3m", "return_6m", "return_12m"}
    assert all(count >= 20 for count in compared.values()), compared
    # its price window begins later than its split: without all splits its growth is not its own
    assert market.cases["forward_split"] in split_before


def _assert_bars(
    deployment: Deployment, figis: pl.DataFrame, session: date, truth: pl.DataFrame, *, final: bool
) -> None:
    stored = deployment.of_session("stock_prices", session).join(figis, on="security_id")
    columns = ["figi", "open", "high", "low", "close", "volume", "vwap", "trades"]
    assert sorted(stored.select(columns).rows()) == sorted(truth.select(columns).rows()), session
    assert stored["final"].unique().to_list() == [final]


def _close(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    same = (a - b).abs() <= 1e-9 * pl.max_horizontal(a.abs(), b.abs(), pl.lit(1e-12))
    return pl.when(a.is_null() | b.is_null()).then(a.is_null() & b.is_null()).otherwise(same)
