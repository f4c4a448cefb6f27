"""`make soak`: session after session in a real Airflow whose vendors fail, until the time is over.

The market's last session runs first, by the schedule; then those before it in order, each twice: the second run must
change no row, by the ledger. In the first and every fifth after it a running task is killed (SIGKILL) in the middle.
At the end the tables are compared with the ledger, and memory with its beginning. A stack of its own (seed 99, faults
on) is started and ended; exit code 1 where anything did not hold, or no task was killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from datetime import date

import psutil
from psycopg2 import sql

from closingbell import demo, stack
from closingbell.sessions import last_sessions
from closingbell.warehouse import db

FAULTS = '{"429": 0.1, "5xx": 0.05, "truncated": 0.02, "duplicates": 0.05}'
SESSIONS = 60
KILL_EVERY = 5
MEMORY_GROWTH = 1.5  # of the stack's resident memory, last tenth of the time against its first session


def main() -> int:
    """0 where everything held."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--companies", type=int, default=60)
    options.add_argument("--port", type=int, default=8099)
    chosen = options.parse_args()
    # a killed task is noticed after so long without a heartbeat; 300 by default
    os.environ.setdefault("AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT", "60")
    wanted = stack.spec(mode="simulated", companies=chosen.companies, seed=99, port=chosen.port, faults=FAULTS)
    try:
        state = stack.up(wanted, print)
        try:
            problems = soak(state, time.monotonic() + chosen.minutes * 60)
        finally:
            stack.down(print)
    except (stack.StackError, demo.DemoFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


def soak(state: stack.State, end: float) -> list[str]:
    """Run sessions until `end`; what did not hold."""
    api, progress, problems = state.airflow(), demo.Progress(), []
    engine = db.engine(state.warehouse_url())
    demo.await_dags(api, progress)
    for dag_id in ("universe", "sec_financials"):
        api.unpause(dag_id)
        demo.finish(api, dag_id, demo.start(api, dag_id, {}, None), progress)
    for dag_id in ("scores_and_recommendations", "market_close"):
        api.unpause(dag_id)
    # nothing that is due of its own accord may run, and change rows, beside the sessions below
    last = date.fromisoformat(state.last_session)
    run_session(state, last, progress, run_id=demo.start(api, "market_close", {}, last.isoformat()))
    first_memory = memory = 0
    done = kills = 0
    for number, session in enumerate(last_sessions(last, SESSIONS)[:-1], 1):
        if time.monotonic() > end:
            break
        for again in (False, True):
            mark = last_ledger_id(engine)
            kill = not again and number % KILL_EVERY == 1
            kills += run_session(state, session, progress, kill=kill)
            if again and (changed := changed_rows(engine, mark)):
                problems.append(f"a second run of {session} changed {changed} rows")
        memory = resident(state)
        first_memory = first_memory or memory
        done += 1
        print(f"{session}: {memory / 1024**2:.0f} MiB, {kills} tasks killed, {len(problems)} problems", flush=True)
    if memory > first_memory * MEMORY_GROWTH:
        problems.append(f"memory grew from {first_memory / 1024**2:.0f} to {memory / 1024**2:.0f} MiB")
    if not done:
        problems.append("no session was done in the time: give more MINUTES")
    elif not kills:
        problems.append("no task was killed: none was seen running when one should have been")
    for dataset, expected in db.query(engine, "soak_ledger").iter_rows():
        if (found := count(engine, dataset)) != expected:
            problems.append(f"{dataset} holds {found} rows, by the ledger {expected}")
    waiting = db.query(engine, "doctor_stages", hours=0)
    if not waiting.is_empty():
        problems.append(f"{waiting.height} stages did not publish, the first {waiting.row(0)}")
    print(f"{done} sessions twice, {kills} tasks killed, {len(problems)} problems")
    return problems


def run_session(
    state: stack.State, session: date, progress: demo.Progress, *, run_id: str = "", kill: bool = False
) -> int:
    """market_close (a new run, or `run_id`) and the scores of a session; how many tasks were killed on the way."""
    api, key = state.airflow(), session.isoformat()
    known = {run["dag_run_id"] for run in api.runs("scores_and_recommendations", partition_key=key)}
    run_id = run_id or api.trigger("market_close", {}, key)
    killed = kill_a_task(state, "market_close", run_id) if kill else 0
    demo.finish(api, "market_close", run_id, progress)
    demo.finish(api, "scores_and_recommendations", demo.consumer(api, key, known, progress), progress)
    return killed


def kill_a_task(state: stack.State, dag_id: str, run_id: str) -> int:
    """SIGKILL the first task of the run that is seen running; 1 where one was."""
    api = state.airflow()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for task in api.tasks(dag_id, run_id):
            if task["state"] == "running" and task["pid"] and task["operator"] != "VendorCompleteSensor":
                with contextlib.suppress(psutil.NoSuchProcess):
                    # only a process of this stack: the number may be another's by now
                    if psutil.Process(task["pid"]).environ().get(stack.MARK) == state.id:
                        psutil.Process(task["pid"]).kill()
                        return 1
        time.sleep(0.3)
    return 0


def count(engine, dataset: str) -> int:
    """Rows of a published table."""
    with engine.connect() as connection, db.cursor_of(connection) as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM closingbell.{}").format(sql.Identifier(dataset)))
        return int(cursor.fetchone()[0])


def last_ledger_id(engine) -> int:
    """The newest ledger row."""
    return int(db.query(engine, "soak_changed", mark=0)["last"][0] or 0)


def changed_rows(engine, mark: int) -> int:
    """Rows that publishes after the ledger row `mark` inserted, updated or deleted."""
    return int(db.query(engine, "soak_changed", mark=mark)["changed"][0] or 0)


def resident(state: stack.State) -> int:
    """Resident memory of the stack's processes in bytes, PostgreSQL left out."""
    total = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(stack.MARK) == state.id:
                total += process.memory_info().rss
    return total


if __name__ == "__main__":
    sys.exit(main())
