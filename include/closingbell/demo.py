"""The main job, once, through Airflow as an operator would run it: everything loaded, scored, and the board printed.

In: a stack that is up, a session and perhaps tickers. Out: lines on the terminal; raises DemoFailed with the task that
failed, its last log lines, and what to do.
"""

from __future__ import annotations

import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from closingbell.airflow_api import AirflowAPI
from closingbell.stack import USER, State, libpq_url

SCORES = "scores_and_recommendations"
NEIGHBOURS = ("insider_trades", "institutional_holdings", "analyst_ratings", "news_sentiment")
DAGS = ("universe", "sec_financials", *NEIGHBOURS, "market_close", SCORES)
DAILY = ("reconcile", "housekeeping")
UNPAUSE = "closingbell airflow dags unpause --yes --treat-dag-id-as-regex ."
_PARSE_SECONDS = 180.0  # DAG files are parsed within so long after Airflow's start
_ADOPT_SECONDS = 30.0  # a scheduled run that is due starts within so long after its DAG was unpaused
_CONSUMER_SECONDS = 120.0  # the scores' run appears within so long after market_close
_RUN_SECONDS = 6 * 3600.0
_LOG_LINES = 15
_ROWS = 100  # of the board: the simulated market as it comes, and the recordings, whole
_SHOWN = ("running", "queued", "up_for_retry", "deferred", "failed")


class DemoFailed(RuntimeError):
    """A run failed or did not appear; the message is for the terminal."""


class Progress:
    """One live line where a person watches; else a line every ten seconds, or every minute where nothing changed."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = ""
        self._at = 0.0

    def show(self, text: str, time_taken: str) -> None:
        """Show where a run is; another time alone makes no new line."""
        if self._live:
            print(f"\r\033[K{text}  {time_taken}"[:200], end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._at > (60 if text == self._last else 10):
            print(f"  {text}  {time_taken}", file=sys.stderr, flush=True)
            self._last, self._at = text, time.monotonic()

    def done(self, text: str) -> None:
        """Leave a line behind."""
        print(f"\r\033[K{text}" if self._live else f"  {text}", file=sys.stderr, flush=True)
        self._last = ""


def demo(state: State, *, session: str, tickers: list[str], say: Callable[[str], None]) -> str:
    """Run every load and the scores of `session`; the scoreboard as text.

    With live vendors insiders, institutions, ratings and news are left to their schedules: what the vendors allow makes
    their first loads last hours.
    """
    began = time.monotonic()
    api, progress = state.airflow(), Progress()
    chosen = _session(state, session)
    await_dags(api, progress)
    conf = {"tickers": tickers} if tickers else {}
    asked = conf | ({"quarters": state.quarters} if state.quarters else {})
    live = state.spec.mode == "live"
    for dag_ids in (("universe",), ("sec_financials", *(() if live else NEIGHBOURS))):
        for dag_id in dag_ids:
            api.unpause(dag_id)
        finish_all(api, {dag_id: start(api, dag_id, asked, None) for dag_id in dag_ids}, progress)
    for dag_id in (SCORES, "market_close"):
        api.unpause(dag_id)
    known = {run["dag_run_id"] for run in api.runs(SCORES, partition_key=chosen.isoformat())}
    finish(api, "market_close", start(api, "market_close", conf, chosen.isoformat()), progress)
    finish(api, SCORES, consumer(api, chosen.isoformat(), known, progress), progress)
    for dag_id in (*DAILY, *NEIGHBOURS):  # these run when they are due
        api.unpause(dag_id)
    if live:
        say(f"{', '.join(NEIGHBOURS)} run when they are due; the first time some take hours")
    say(f"all runs succeeded in {clock(time.monotonic() - began)}")
    return board(state, chosen, tickers)


def board(state: State, session: date, tickers: list[str]) -> str:
    """The session's scoreboard from the stack's warehouse, of `tickers` where any are given; where to look further."""
    import polars as pl

    from closingbell.scores import board as scoreboard
    from closingbell.warehouse import db

    rows = db.query(db.engine(state.warehouse_url()), "scoreboard", session=session)
    if tickers:
        rows = rows.filter(pl.col("ticker").is_in(tickers))
    if rows.is_empty():
        of = f" of {', '.join(tickers)}" if tickers else ""
        raise DemoFailed(f"no security{of} has a score for {session}: were there prices, and statements known by then?")
    text = scoreboard.text(rows, session, limit=_ROWS, simulated=state.spec.mode == "simulated")
    return f"{text}\n{_loaded(state)}{places(state)}"


def _loaded(state: State) -> str:
    """How much there is of what no score reads yet."""
    from closingbell.warehouse import db

    counts = db.query(db.engine(state.warehouse_url()), "demo_loaded").row(0, named=True)
    said = ", ".join(f"{table} {rows:,}" for table, rows in counts.items())
    return textwrap.fill(said, 120, initial_indent="Rows loaded ", subsequent_indent=" " * 12) + "\n"


def places(state: State) -> str:
    """Addresses and login of a stack that is up."""
    lines = [
        f"Airflow     {state.airflow_url}   user {USER}   password {state.password}",
        f"Scoreboard  {state.airflow_url}/plugin/scoreboard   once logged in to Airflow",
        f"Late?       {state.airflow_url}/closing-bell/late   why a board is late",
        f"Warehouse   {libpq_url(state)}",
        "`make down` ends it; `.venv/bin/closingbell doctor` checks it.",
    ]
    return "\n".join(lines) + "\n"


def schedules(state: State) -> str:
    """Unpause a live stack that has a universe; say of any stack that was only started what does not run on its own.

    Scheduled runs of an empty warehouse would fail, and those of vendors that stand still make little sense.
    """
    from closingbell.warehouse import db

    api = state.airflow()
    if state.spec.mode == "live" and db.query(db.engine(state.warehouse_url()), "securities_all").height:
        await_dags(api, Progress())
        for dag_id in (*DAGS, *DAILY):
            api.unpause(dag_id)
    dags = api.dags()  # one that is not parsed yet begins paused, but the scores
    paused = [name for name in (*DAGS, *DAILY) if dags.get(name, {"is_paused": name != SCORES})["is_paused"]]
    if not paused:
        return "Schedules   every DAG runs when it is due\n"
    how = f"until `make demo` with the same variables has loaded everything, or {UNPAUSE}"
    named = textwrap.fill(", ".join(paused), 108, initial_indent="Paused      ", subsequent_indent=" " * 12)
    return f"{named}:\n{' ' * 12}none of these runs on its own {how}\n"


def for_runs(state: State, *, session: str) -> str:
    """What a stack that was only started does with its tickers and a session; empty without."""
    lines = []
    if session:
        chosen = _session(state, session)
        lines.append(
            f"SESSION     {chosen}: no run was started; `make demo` with the same variables scores it, or trigger "
            "market_close with it"
        )
    if state.spec.tickers:
        told = "the universe of every run whose form names no others; what is stored of others stays"
        lines.append(f"TICKERS     {state.spec.tickers}: {told}")
    return "".join(f"{line}\n" for line in lines)


def check_session(given: str) -> None:
    """Refuse, before anything is started, what is no session that has closed; raises DemoFailed."""
    from closingbell.sessions import NotASession, close_of

    if not given:
        return
    try:
        closed = close_of(date.fromisoformat(given))
    except NotASession as error:
        raise DemoFailed(f"SESSION={given}: {error}") from None
    except ValueError:
        raise DemoFailed(f"SESSION={given} is no date: write YYYY-MM-DD") from None
    if closed > datetime.now(UTC):
        raise DemoFailed(f"SESSION={given} has not closed yet")


def _session(state: State, given: str) -> date:
    """The session, checked before, if these vendors have it; their last one by default."""
    from closingbell.sessions import latest_session

    if not given:
        return date.fromisoformat(state.last_session) if state.last_session else latest_session(datetime.now(UTC))
    chosen = date.fromisoformat(given)
    if state.first_session and chosen < date.fromisoformat(state.first_session):
        raise DemoFailed(f"SESSION={given}: the {state.spec.mode} vendors begin with {state.first_session}")
    if state.last_session and chosen > date.fromisoformat(state.last_session):
        raise DemoFailed(f"SESSION={given}: the {state.spec.mode} vendors end with {state.last_session}")
    return chosen


def await_dags(api: AirflowAPI, progress: Progress) -> None:
    """Wait until Airflow has parsed every DAG file; raises DemoFailed with the error of one that does not parse."""
    began = time.monotonic()
    while missing := set(DAGS) - set(api.dags()):
        if errors := api.import_errors():
            file, trace = next(iter(errors.items()))
            raise DemoFailed(f"{file} does not parse: {trace.strip().splitlines()[-1]}")
        if (waited := time.monotonic() - began) > _PARSE_SECONDS:
            raise DemoFailed(f"Airflow shows no DAG {', '.join(sorted(missing))} after {waited:.0f} s; see its log")
        progress.show("waiting for the DAG files to be parsed", clock(waited))
        time.sleep(1)


def start(api: AirflowAPI, dag_id: str, conf: dict[str, Any], partition_key: str | None) -> str:
    """Take the run that the scheduler makes of its own accord, where one is due, or trigger one.

    One that is asked for something that the DAG takes (`conf`) is triggered always.
    """
    taken = api.params(dag_id)
    conf = {name: value for name, value in conf.items() if name in taken}
    deadline = time.monotonic() + _ADOPT_SECONDS
    due = str(api.dags()[dag_id]["next_dagrun_run_after"] or "9999") <= datetime.now(UTC).isoformat()
    while not conf:
        for run in api.runs(dag_id, partition_key=partition_key):
            if run["state"] in ("queued", "running"):
                return str(run["dag_run_id"])
        if not due or time.monotonic() > deadline:
            break
        time.sleep(1)
    return api.trigger(dag_id, conf, partition_key)


def consumer(api: AirflowAPI, partition_key: str, known: set[str], progress: Progress) -> str:
    """Id of the scores' run of a session that is not among `known`; waits for it."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _CONSUMER_SECONDS:
        for run in api.runs(SCORES, partition_key=partition_key):
            if run["dag_run_id"] not in known:
                return str(run["dag_run_id"])
        progress.show(f"waiting for {SCORES} of {partition_key} to start", clock(waited))
        time.sleep(1)
    raise DemoFailed(f"market_close of {partition_key} started no run of {SCORES} within {_CONSUMER_SECONDS:.0f} s")


def finish(api: AirflowAPI, dag_id: str, run_id: str, progress: Progress) -> None:
    """Show the run until it has succeeded; raises DemoFailed with the task that failed and its last log lines."""
    finish_all(api, {dag_id: run_id}, progress)


def finish_all(api: AirflowAPI, runs: dict[str, str], progress: Progress) -> None:
    """Show runs ({DAG: run id}), which go on side by side, until all have succeeded; raises as `finish` does."""
    began = time.monotonic()
    left = dict(runs)
    while True:
        shown: list[str] = []
        waited = time.monotonic() - began
        for dag_id, run_id in list(left.items()):
            run = api.run(dag_id, run_id)
            tasks = api.tasks(dag_id, run_id)
            counts = Counter(task["state"] or "waiting" for task in tasks)
            name = " ".join(filter(None, (dag_id, run.get("partition_key"))))
            if run["state"] == "success":
                progress.done(f"{name}: {counts['success']} tasks in {clock(waited)}")
                del left[dag_id]
            elif run["state"] == "failed":
                progress.done(f"{name}: failed after {clock(waited)}")
                raise DemoFailed(_why(api, dag_id, tasks))
            elif waited > _RUN_SECONDS:
                raise DemoFailed(f"{name} is not finished after {clock(waited)}: look at {api.base_url}/dags/{dag_id}")
            else:
                shown.append(_where(name, tasks, counts) if len(runs) == 1 else _briefly(name, tasks, counts))
        if not left:
            return
        progress.show("; ".join(shown), clock(waited))
        time.sleep(2)


def _where(name: str, tasks: list[dict[str, Any]], counts: Counter[str]) -> str:
    active = [
        task["task_id"] if task["map_index"] < 0 else f"{task['task_id']} {task['rendered_map_index']}"
        for task in tasks
        if task["state"] == "running"
    ]
    states = ", ".join(f"{counts[state]} {state}" for state in _SHOWN if counts[state])
    detail = ": " + ", ".join(active[:3]) if active else ""
    return f"{name}: {_done(counts)} of {len(tasks)} tasks done, {states or 'starting'}{detail}"


def _briefly(name: str, tasks: list[dict[str, Any]], counts: Counter[str]) -> str:
    states = ", ".join(f"{counts[state]} {state}" for state in _SHOWN[2:] if counts[state])
    return " ".join(filter(None, (name, f"{_done(counts)} of {len(tasks)}", states)))


def _done(counts: Counter[str]) -> int:
    return counts["success"] + counts["skipped"]


def _why(api: AirflowAPI, dag_id: str, tasks: list[dict[str, Any]]) -> str:
    failed = sorted((task for task in tasks if task["state"] == "failed"), key=lambda task: str(task["end_date"]))
    if not failed:
        return f"{dag_id} failed without a failed task: look at {api.base_url}/dags/{dag_id}"
    task = failed[0]
    lines = api.log(task)[-_LOG_LINES:]
    shown = "\n".join(f"    {line}" for line in lines)
    reason = lines[-1] if lines else "no log"
    return f"{shown}\n{dag_id}: task {task['task_id']} failed (try {task['try_number']}): {reason}"


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
