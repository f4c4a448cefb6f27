"""market_close for 4,600 simulated stocks: a session with 400 sessions of warm-up, then the session after it.

The steps of the DAG run in this process, on a durable PostgreSQL of this benchmark's own, against the sandbox in a
process of its own on the same two cores: vendor_complete, prices, indicators, valuation_ratios. The universe is loaded
before and not counted; nor is the sandbox's making of its market, which one request per session makes beforehand. One
batch of companies has statements; that load is reported against its share of the pipeline's time limit. What Airflow
adds is its task instances; they are counted from the DAG and the plan.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from closingbell.settings import REPOSITORY, settings

COMPANIES = 4600
SESSION_MINUTES, WARMUP_MINUTES, TASK_INSTANCES = 3.0, 10.0, 12
WARMUP_SESSIONS, INDICATOR_SECONDS = 400, 60.0
STATEMENTS = 100
LOADS = ("prices", "indicators", "valuation_ratios")
_START_SECONDS = 300.0

log = logging.getLogger(__name__)


def measure(companies: int = COMPANIES) -> list[dict[str, Any]]:
    """Rows {name, value, baseline, ratio, budget, holds}: minutes of a session and of a warm-up, task instances."""
    folder = Path(tempfile.mkdtemp(prefix="closingbell-bench-"))
    folder.chmod(0o755)  # the server's system user passes through
    os.environ |= {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    from closingbell import postgres

    try:
        url = postgres.start(folder / "pg")
        os.environ |= {
            "CLOSINGBELL_DATABASE_URL": url,
            "CLOSINGBELL_LANDING": str(folder / "landing"),
            # a developer's .env may name another vendor, a list of stocks or a shorter warm-up
            "CLOSINGBELL_PRICE_VENDOR": "polygon",
            "CLOSINGBELL_TICKERS": "",
            "CLOSINGBELL_WARMUP_SESSIONS": str(WARMUP_SESSIONS),
        }
        settings.cache_clear()
        with _sandbox(folder, companies) as address:
            return _measured(url, address, companies)
    finally:
        postgres.stop(folder / "pg")
        shutil.rmtree(folder, ignore_errors=True)


def _measured(url: str, address: str, companies: int) -> list[dict[str, Any]]:
    from closingbell import connections
    from closingbell.pipelines import base, market_close
    from closingbell.sessions import last_sessions
    from closingbell.warehouse import db

    os.environ |= connections.environment(address)
    db.migrate(url)
    with urllib.request.urlopen(f"{address}/_sandbox/market") as answer:
        market = json.load(answer)
    before, session = last_sessions(date.fromisoformat(market["last_session"]), 2)
    _prewarm(address, [str(day) for day in last_sessions(session, settings().warmup_sessions + 1)])
    _timed("universe", str(session), {})
    warmup = sum(_timed(name, str(before), {}) for name in LOADS)
    filed = _timed("sec_financials", str(session), {"limit": STATEMENTS})

    run = base.open_run("market_close", "session", str(session), {})
    planned = base.plan(market_close.LOAD, run)
    started = time.perf_counter()
    if not market_close.vendor_complete(run):
        raise RuntimeError(f"the sandbox has not all of {session}")
    asked = time.perf_counter() - started
    steps = {name: _timed(name, str(session), {}) for name in LOADS}
    one = asked + sum(steps.values())
    again = sum(_timed(name, str(session), {}, "again") for name in LOADS)
    what = f"market_close of {companies:,} stocks"
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    limit = settings().fundamentals_hours * 60 * STATEMENTS / companies
    return [
        _row(f"{what}, one session, minutes", one / 60, SESSION_MINUTES),
        _row(f"{what}, one session, task instances", _instances(len(planned)), TASK_INSTANCES),
        _row(f"indicators of {companies:,} stocks, read to published, seconds", steps["indicators"], INDICATOR_SECONDS),
        _row(f"{what}, with 400 sessions of warm-up, minutes", warmup / 60, WARMUP_MINUTES),
        _row(f"{what}, the same session again, minutes", again / 60, SESSION_MINUTES),
        _row(f"sec_financials of a batch of {STATEMENTS} companies, minutes", filed / 60, limit),
        _row(f"{what}, universe and a batch of statements, peak memory, GiB", gib, 4.0),
    ]


def _row(name: str, value: float, limit: float) -> dict[str, Any]:
    return {
        "name": name, "value": round(value, 3), "baseline": limit, "ratio": round(value / limit, 3),
        "budget": f"<= {limit:g}", "holds": value <= limit,
    }  # fmt: skip


def _timed(name: str, session: str, params: dict[str, Any], attempt: str = "first") -> float:
    from closingbell.pipelines import LOADS, base

    started = time.perf_counter()
    counts = base.run_load(LOADS[name], base.open_run("bench", f"{name} {session} {attempt}", session, params))
    seconds = time.perf_counter() - started
    log.info("%s %s %s: %.1f s, %s", name, session, attempt, seconds, counts)
    return seconds


def _instances(batches: int) -> int:
    """Task instances of one run of the DAG: each task once, a mapped one once a batch."""
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    dag = runpy.run_path(str(REPOSITORY / "dags/market_close.py"))["complete"].dag
    return sum(batches if isinstance(task, MappedOperator) else 1 for task in dag.tasks)


@contextmanager
def _sandbox(folder: Path, companies: int) -> Iterator[str]:
    port = folder / "port"
    command = [sys.executable, "-m", "closingbell.sandbox", "--companies", str(companies), "--port-file", str(port)]
    with (folder / "sandbox.log").open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not port.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the sandbox did not start:\n{(folder / 'sandbox.log').read_text()[-4000:]}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port.read_text().strip()}"
    finally:
        server.terminate()
        server.wait()


def _prewarm(address: str, days: list[str]) -> None:
    from closingbell.connections import SANDBOX_KEY

    for day in days:
        url = f"{address}/polygon/v2/aggs/grouped/locale/us/market/stocks/{day}?adjusted=false"
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {SANDBOX_KEY}"})
        with urllib.request.urlopen(asked) as answer:
            answer.read()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for row in measure(int(sys.argv[1]) if sys.argv[1:] else COMPANIES):
        print(row)
