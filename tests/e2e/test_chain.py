"""A real Airflow: the chain of a session, killed workers, a killed PostgreSQL, backfills, an outage. One stack for all.

What Airflow's runs leave in the tables is compared with the same loads in one undisturbed process, on a copy of the
warehouse as it stood before.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import httpx
import polars as pl
import psutil
import pytest
from sqlalchemy import Engine, make_url, text

from closingbell import demo, stack
from closingbell.airflow_api import AirflowError
from closingbell.pipelines import LOADS, base
from closingbell.sessions import close_of
from closingbell.settings import settings
from closingbell.stack import checks, keys, record, services
from closingbell.warehouse import db

Found = TypeVar("Found")
start_sandbox = services.start_sandbox
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

SESSION = "2025-11-26"  # the market's last session until the outage
NEXT_TO_KILL = "2025-11-20"
RANGE = ["2025-11-21", "2025-11-24"]  # a weekend between them
OUTAGE = ["2025-11-28", "2025-12-01", "2025-12-02", "2025-12-03", "2025-12-04", "2025-12-05"]  # after Thanksgiving
SCORES = "scores_and_recommendations"
QUICKLY = {  # Airflow notices what is killed in seconds, not in five minutes
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
}
COMPARED = {
    "stock_prices": "SELECT * FROM closingbell.stock_prices WHERE session = :session",
    "corporate_actions": """
        SELECT * FROM closingbell.corporate_actions  -- earlier sessions bring older ones
        WHERE ex_date BETWEEN CAST(:session AS date) - 60 AND :session""",
    "technical_indicators": "SELECT * FROM closingbell.technical_indicators WHERE session = :session",
    "valuation_ratios": "SELECT * FROM closingbell.valuation_ratios WHERE session = :session",
    # how the news reads hangs on which copy of a story came first, and on that the whole score
    "ic_scores": """
        SELECT security_id, session, value, growth, profitability, financial_health, momentum, analyst_consensus,
               insider_activity, institutional, technical, sector, sector_assumed, sector_size, data_completeness,
               confidence, known_at
        FROM closingbell.ic_scores WHERE session = :session""",
    "score_inputs": """
        SELECT security_id, session, inputs - CAST('{news_sentiment_7d,news_sentiment_30d}' AS text[]) AS inputs
        FROM closingbell.score_inputs WHERE session = :session""",
}
NEIGHBOURS = {  # DAG: its loads
    "insider_trades": ["insider_trades", "insider_activity"],
    "institutional_holdings": ["cusips", "institutional_holdings", "institutional_ownership"],
    "analyst_ratings": ["analyst_ratings", "analyst_consensus"],
    "news_sentiment": ["news", "news_articles", "news_sentiment", "sentiment_daily"],
}
TOLD_BY_THE_FIRST_COPY = {"news_members", "news_articles", "news_sentiment", "sentiment_daily"}
LINEAGE = {"landing_id", "fetched_at", "first_seen_at"}


@pytest.fixture(scope="module")
def spec() -> Iterator[stack.Spec]:
    """A stack in a folder of its own, on a free port, with a short history."""
    folder = Path(tempfile.mkdtemp(prefix="cb-e2e-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "ROOT", folder)
        patch.setattr(keys, "dotenv", lambda: dict(os.environ))  # a developer's .env names other servers
        patch.delenv("CLOSINGBELL_DATABASE_URL", raising=False)
        patch.setenv("CLOSINGBELL_WARMUP_SESSIONS", "60")
        for name, value in QUICKLY.items():
            patch.setenv(f"AIRFLOW__{name}", value)
        market_ends(patch, SESSION)
        yield stack.spec(mode="simulated", companies=20, seed=7, port=checks.free_port())
        stack.down(print)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def state(spec) -> stack.State:
    """The stack, with universe and statements loaded and its DAGs parsed."""
    up = stack.up(spec, print)
    with joined(up):
        run_loads("set-up", SESSION, "universe", "sec_financials")
    demo.await_dags(up.airflow(), demo.Progress())
    up.airflow().unpause(SCORES)
    return up


@pytest.fixture(scope="module")
def clean(state) -> Engine:
    """What undisturbed loads of both sessions leave, on a copy of the warehouse."""
    copy = copied(state, "cb_clean")
    with joined(state, copy):
        run_loads(f"clean {SESSION}", SESSION, "prices", "indicators", "valuation_ratios", "scores")
        for session in RANGE:  # brings the bars before it, which later sessions' windows read
            run_loads(f"clean {session}", session, "prices")
        run_loads(f"clean {NEXT_TO_KILL}", NEXT_TO_KILL, "prices", "indicators", "valuation_ratios", "scores")
    return db.engine(copy)


@pytest.mark.soak
def test_insiders_institutions_ratings_and_news_run_side_by_side_as_each_would_alone(state):
    api, copy = state.airflow(), copied(state, "cb_alone")
    with joined(state, copy):
        run_loads("alone", SESSION, *(load for loads in NEIGHBOURS.values() for load in loads))
    for dag_id in NEIGHBOURS:
        api.unpause(dag_id)
    demo.finish_all(api, {dag_id: demo.start(api, dag_id, {}, None) for dag_id in NEIGHBOURS}, demo.Progress())
    warehouse = db.engine(state.warehouse_url())
    for name in sorted({table for loads in NEIGHBOURS.values() for load in loads for table in LOADS[load].tables}):
        # which copy of a story comes first, and so names the article, is up to the tasks: as many rows
        what = "row_number() OVER ()" if name in TOLD_BY_THE_FIRST_COPY else "*"
        assert_same_rows(name, f"SELECT {what} FROM closingbell.{name}", warehouse, db.engine(copy))


def test_the_api_and_the_pages_stand_behind_airflows_login(state):
    with httpx.Client(base_url=f"{state.airflow_url}/closing-bell", trust_env=False, timeout=60) as client:
        for path in ("/api/v1/stocks", "/api/openapi.json", "/scoreboard", "/late"):
            assert client.get(path).status_code == 401, path
        assert client.get("/health").json()["database"] == "ok"
        login = {"username": record.USER, "password": state.password}
        token = httpx.post(f"{state.airflow_url}/auth/token", json=login, trust_env=False).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        stocks = client.get("/api/v1/stocks?limit=1").json()
        assert stocks["next"].startswith("/closing-bell/api/v1/stocks?limit=1"), "the links lead back here"
        symbol = stocks["results"][0]["symbol"]
        assert client.get(f"/api/v1/stocks/{symbol}").json().items() >= stocks["results"][0].items()
        assert client.get("/late").headers["content-type"].startswith("text/html")
        assert client.get("/api/scores/NOBODY").headers["content-type"] == "application/problem+json"


def test_workers_killed_during_stage_and_publish_leave_the_tables_of_a_clean_run(state, clean):
    api, progress = state.airflow(), demo.Progress()
    warehouse = db.engine(state.warehouse_url())
    with held(warehouse, "closingbell.stock_prices"):
        with held(warehouse, "ops.stage_batches"):  # copied, not yet recorded
            api.unpause("market_close")
            run_id = demo.start(api, "market_close", {}, SESSION)
            assert api.run("market_close", run_id)["run_type"] == "scheduled"  # the session that is due
            wait_for(lambda: waiters(warehouse, "ops.stage_batches"), "a batch in the middle of its transaction")
            killed = kill_tasks(state, "market_close", run_id, "prices.stage")
        again(api, "market_close", run_id, "prices.stage")
        wait_for(lambda: waiters(warehouse, "closingbell.stock_prices"), "a publish in the middle of its transaction")
        killed += kill_tasks(state, "market_close", run_id, "prices.publish")
    again(api, "market_close", run_id, "prices.publish")
    assert killed >= 2
    demo.finish(api, "market_close", run_id, progress)
    scores = demo.consumer(api, SESSION, set(), progress)
    assert api.run(SCORES, scores)["partition_key"] == SESSION
    demo.finish(api, SCORES, scores, progress)
    assert_same(warehouse, clean, SESSION)


def test_a_range_of_the_form_is_one_run_and_each_of_its_sessions_is_scored(state):
    api, progress = state.airflow(), demo.Progress()
    api.unpause("market_close")
    known = run_ids(api)
    run_id = api.trigger("market_close", {"session": RANGE[0], "last_session": RANGE[1]})
    demo.finish(api, "market_close", run_id, progress)
    for session in RANGE:
        demo.finish(api, SCORES, demo.consumer(api, session, known, progress), progress)
    warehouse = db.engine(state.warehouse_url())
    written = "SELECT partition_key FROM ops.partition_claims WHERE run_id = :run_id AND table_name = :of"
    assert sorted(key for (key,) in rows(warehouse, written, run_id=run_id, of="valuation_ratios")) == RANGE


def test_a_backfill_makes_exactly_its_sessions_and_changes_nothing_that_is_right(state):
    api, warehouse = state.airflow(), db.engine(state.warehouse_url())
    mark = last_ledger_id(warehouse)  # a run of the form has made these sessions
    _, scored = backfill(state, reprocess="none")
    made = [run for run in api.runs("market_close") if run["run_type"] == "backfill"]
    assert sorted(run["partition_key"] for run in made) == scored == RANGE
    assert changed_and_loaded(warehouse, mark) == (0, RANGE)


def test_reconcile_makes_anew_what_has_no_score(state):
    api, progress = state.airflow(), demo.Progress()
    warehouse = db.engine(state.warehouse_url())
    with warehouse.begin() as connection:
        for name in ("ic_scores", "score_inputs"):
            gone = f"DELETE FROM closingbell.{name} WHERE session = CAST(:session AS date)"
            connection.execute(text(gone), {"session": RANGE[1]})
    known = run_ids(api)
    api.unpause("reconcile")
    run_id = demo.start(api, "reconcile", {}, None)
    demo.finish(api, "reconcile", run_id, progress)
    demo.finish(api, SCORES, demo.consumer(api, RANGE[1], known, progress), progress)
    assert rows(warehouse, "SELECT 1 FROM closingbell.ic_scores WHERE session = :session", session=RANGE[1])


def test_batches_of_statements_are_staged_by_pods(state):
    api = state.airflow()
    api.unpause("sec_financials")
    run_id = api.trigger("sec_financials", {"full": True, "limit": 5})
    demo.finish(api, "sec_financials", run_id, demo.Progress())
    (stage,) = [task for task in api.tasks("sec_financials", run_id) if task["task_id"] == "sec_financials.stage"]
    assert stage["operator_name"] == "PipelinePodOperator"
    assert "-" in stage["rendered_map_index"]


def test_postgres_killed_between_stage_and_publish_leaves_the_tables_of_a_clean_run(spec, state, clean):
    api, progress = state.airflow(), demo.Progress()
    known = run_ids(api)
    run_id = api.trigger("market_close", {}, NEXT_TO_KILL)
    warehouse = db.engine(state.warehouse_url())
    with contextlib.suppress(Exception), held(warehouse, "ops.audit_results"):
        wait_for(lambda: waiters(warehouse, "ops.audit_results"), "an audit of what is staged")
        kill_postgres()
    up = stack.up(spec, print)  # what an operator does: `make up`
    api = up.airflow()
    again(api, "market_close", run_id, "prices.stage", downstream=True)
    demo.finish(api, "market_close", run_id, progress)
    demo.finish(api, SCORES, demo.consumer(api, NEXT_TO_KILL, known, progress), progress)
    assert_same(db.engine(up.warehouse_url()), clean, NEXT_TO_KILL)


@pytest.mark.soak
def test_a_backfill_that_is_repeated_loads_its_sessions_again_and_changes_nothing(state):
    api, warehouse = state.airflow(), db.engine(state.warehouse_url())
    last_session_scored(api)
    first, _ = backfill(state, reprocess="none")
    wait_for(lambda: api.backfill_done(first), "Airflow to take the backfill as ended: a DAG has one at a time")
    mark = last_ledger_id(warehouse)
    backfill(state, reprocess="completed")
    assert changed_and_loaded(warehouse, mark) == (0, RANGE)


@pytest.mark.soak
def test_an_outage_of_six_sessions_is_caught_up_in_order_none_skipped(spec, state, monkeypatch):
    api = state.airflow()
    last_session_scored(api)
    before = {run["dag_run_id"] for run in api.runs("market_close")}
    stack.down(print)
    market_ends(monkeypatch, OUTAGE[-1])  # six sessions close while nothing runs
    up = stack.up(spec, print)
    api = up.airflow()

    def caught_up() -> list[dict]:
        new = [run for run in api.runs("market_close") if run["dag_run_id"] not in before]
        assert "failed" not in {run["state"] for run in new}
        return new if [run["state"] for run in new].count("success") >= len(OUTAGE) else []

    new = sorted(wait_for(caught_up, "the sessions of the outage", 600), key=lambda run: run["start_date"])
    assert [(run["partition_key"], run["run_type"]) for run in new] == [(day, "scheduled") for day in OUTAGE]
    wait_for(lambda: {run["partition_key"] for run in api.runs(SCORES)} >= set(OUTAGE), "the runs of their scores")
    for run in api.runs(SCORES):
        demo.finish(api, SCORES, run["dag_run_id"], demo.Progress())
    scored = "SELECT session, count(*) FROM closingbell.ic_scores WHERE session > :after GROUP BY session"
    stocks = {day.isoformat(): count for day, count in rows(db.engine(up.warehouse_url()), scored, after=SESSION)}
    assert sorted(stocks) == OUTAGE
    assert min(stocks.values()) >= spec.companies / 2


# -- steps --


def market_ends(patch: pytest.MonkeyPatch, session: str) -> None:
    """Stacks that start from now on know no later session: it is the evening of `session` at their vendors."""
    evening = close_of(date.fromisoformat(session)) + timedelta(hours=2, minutes=5)

    def start(state: stack.State) -> None:
        start_sandbox(state)
        httpx.post(f"{state.sandbox_url}/_sandbox/clock", json={"now": evening.isoformat()}).raise_for_status()
        state.last_session = session

    patch.setattr(services, "start_sandbox", start)


def copied(state: stack.State, name: str) -> str:
    """The URL of a new copy of the warehouse."""
    warehouse = make_url(state.warehouse_url())
    with db.engine(state.metadata_url()).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        of = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(of, {"name": warehouse.database})  # a process keeps connections; it opens others
        connection.execute(text(f'CREATE DATABASE {name} TEMPLATE "{warehouse.database}"'))
    return warehouse.set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def joined(state: stack.State, database: str = "") -> Iterator[None]:
    """This process as a command that joins the stack, on its warehouse or another one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment(state).items():
            patch.setenv(name, value)
        if database:
            patch.setenv("CLOSINGBELL_DATABASE_URL", database)
        settings.cache_clear()
        yield
    settings.cache_clear()


def run_loads(run_id: str, session: str, *names: str) -> None:
    for name in names:
        base.run_load(LOADS[name], base.open_run(f"test_{name}", run_id, session, {}))


@contextlib.contextmanager
def held(engine: Engine, table: str) -> Iterator[None]:
    """Nobody writes the table inside this block; reading goes on."""
    with engine.begin() as connection:
        connection.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
        yield


def waiters(engine: Engine, table: str) -> int:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = CAST(:table AS regclass)"
    return rows(engine, waiting, table=table)[0][0]


def kill_tasks(state: stack.State, dag_id: str, run_id: str, task_id: str) -> int:
    """SIGKILL every running process of the task; how many."""
    killed = 0
    for task in state.airflow().tasks(dag_id, run_id):
        if task["task_id"] == task_id and task["state"] == "running" and task["pid"]:
            process = psutil.Process(task["pid"])
            assert process.environ().get(stack.MARK) == state.id  # never a stranger
            process.kill()
            killed += 1
    return killed


def again(api, dag_id: str, run_id: str, task_id: str, *, downstream: bool = False) -> None:
    """Clear the killed task as soon as Airflow has noticed, instead of waiting for its retry."""

    def noticed() -> bool:
        states = {task["state"] for task in api.tasks(dag_id, run_id) if task["task_id"] == task_id}
        return "running" not in states or downstream

    def cleared() -> bool:
        try:
            api.clear(dag_id, run_id, [task_id], downstream=downstream)
        except AirflowError as error:  # the api-server's own connections may be to the PostgreSQL that was killed
            if "Database error" not in str(error):
                raise
            return False
        return True

    wait_for(noticed, f"Airflow to notice that {task_id} was killed")
    wait_for(cleared, f"Airflow to clear {task_id}")


def kill_postgres() -> None:
    leader = psutil.Process(int((record.ROOT / "postgres/postmaster.pid").read_text().splitlines()[0]))
    for process in (leader, *leader.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGKILL)


def last_session_scored(api) -> None:
    """Run the session that is due, and its scores, where no test has."""
    progress = demo.Progress()
    api.unpause("market_close")
    if not api.runs("market_close", partition_key=SESSION):
        demo.finish(api, "market_close", demo.start(api, "market_close", {}, SESSION), progress)
        demo.finish(api, SCORES, demo.consumer(api, SESSION, set(), progress), progress)


def backfill(state: stack.State, *, reprocess: str) -> tuple[int, list[str]]:
    """Backfill the range and wait for a run of the scores of each session; its id, and the sessions scored."""
    api = state.airflow()
    known = run_ids(api)
    made = api.backfill("market_close", RANGE[0], RANGE[1], reprocess=reprocess)

    def scores() -> list[dict]:
        new = [run for run in api.runs(SCORES) if run["dag_run_id"] not in known]
        return new if len(new) >= len(RANGE) and {run["state"] for run in new} <= {"success", "failed"} else []

    scored = wait_for(scores, "the scores of its sessions")
    assert {run["state"] for dag_id in ("market_close", SCORES) for run in api.runs(dag_id)} == {"success"}
    return made, sorted(run["partition_key"] for run in scored)


def changed_and_loaded(engine: Engine, mark: int) -> tuple[int, list[str]]:
    """Rows that publishes changed since the ledger's row `mark`, and the partitions that were published."""
    loaded = "SELECT DISTINCT partition_key FROM ops.load_ledger WHERE ledger_id > :mark"
    changed = int(db.query(engine, "soak_changed", mark=mark)["changed"][0] or 0)
    return changed, sorted(key for (key,) in rows(engine, loaded, mark=mark))


def run_ids(api) -> set[str]:
    return {run["dag_run_id"] for run in api.runs(SCORES)}


def wait_for(condition: Callable[[], Found], what: str, seconds: float = 420) -> Found:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.5)
    return found


def rows(engine: Engine, statement: str, **params: object) -> list[tuple]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement), params)]


def last_ledger_id(engine: Engine) -> int:
    return int(db.query(engine, "soak_changed", mark=0)["last"][0] or 0)


def table(engine: Engine, statement: str, **params: object) -> pl.DataFrame:
    with engine.connect() as connection:
        found = connection.execute(text(statement), params)
        names = [name for name in found.keys() if name not in LINEAGE]  # noqa: SIM118 a result, no dict
        return pl.DataFrame(
            sorted(repr([row._mapping[name] for name in names]) for row in found), schema={"row": pl.String}
        )


def assert_same(left: Engine, right: Engine, session: str) -> None:
    for name, statement in COMPARED.items():
        assert_same_rows(name, statement, left, right, session=date.fromisoformat(session))


def assert_same_rows(name: str, statement: str, left: Engine, right: Engine, **params: object) -> None:
    mine, other = table(left, statement, **params), table(right, statement, **params)
    assert mine.height > 0 or name == "corporate_actions", name
    only_here, only_there = mine.join(other, on="row", how="anti"), other.join(mine, on="row", how="anti")
    examples = [*only_here["row"][:2], "in the clean run", *only_there["row"][:2]]
    assert (only_here.height, only_there.height) == (0, 0), "\n".join([f"{name} {params}", *examples])
