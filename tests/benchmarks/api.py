"""The API and the scoreboard on 4,600 stocks: latencies at 200 requests a second, throughput, every other route, pages.

One process of the API under uvicorn, beside an idle Airflow, and the same route returning a constant from a process of
its own. Requests are sent when they are due, answered or not, and a latency counts from then: a stall is seen in all
that it holds up. The stock that every other route is asked about has ten years of scores and bars, and news.
Run: python -m tests.benchmarks.api
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import psutil
from fastapi import FastAPI, Response
from sqlalchemy import Engine, make_url, text
from tests.benchmarks import scores

RATE, SECONDS, CONNECTIONS = 200, 20, 16
TIMES = 40  # of every other route
IDLE_SECONDS = 30  # until a started Airflow is idle
P99_MS, OTHERS_MS, PAGE_MS, AGAINST_CONSTANT = 10.0, 500.0, 1000.0, 3.0

YEARS = """
INSERT INTO closingbell.{table}
SELECT (jsonb_populate_record(t, jsonb_build_object('session', CAST(d.day AS date)))).*
FROM closingbell.{table} AS t
CROSS JOIN generate_series(CAST(:session AS date) - 3660, CAST(:session AS date) - 60, interval '1 day') AS d (day)
WHERE t.security_id = :security AND t.session = :session AND extract(isodow FROM d.day) < 6"""
ARTICLES = """
INSERT INTO closingbell.news_articles (article_id, title, source, url, published_at, told_at, sources, vendors, tickers,
    fetched_at)
SELECT number, 'Title ' || number, 'Wire', 'https://news.example/' || number, at, at, '{Wire}', '{polygon}', '{}', at
FROM (SELECT number, CAST(:session AS date) - number * interval '2 hours' AS at
      FROM generate_series(1, 300) AS number) AS n WHERE CAST(:security AS bigint) > 0"""
OPINIONS = """
INSERT INTO closingbell.news_sentiment (article_id, security_id, model, model_version, score, known_at, fetched_at)
SELECT article_id, :security, model, '1', 0.5, published_at, fetched_at
FROM closingbell.news_articles CROSS JOIN unnest(ARRAY['polygon', 'finbert', 'lexicon']) AS m (model)
WHERE CAST(:session AS date) > '2000-01-01'"""

constant = FastAPI(openapi_url=None)
BODY = b'{"overall_score": 50.0, "filler": "' + b"x" * 1600 + b'"}'  # as long as a score


@constant.get("/api/scores/{ticker}")
async def same(ticker: str) -> Response:
    """The baseline."""
    return Response(BODY, media_type="application/json")


def measure(companies: int = 4600) -> list[dict[str, Any]]:
    """Rows {name, value, baseline, ratio, budget, holds}."""
    from closingbell import postgres
    from closingbell.api import keys
    from closingbell.warehouse import db

    with tempfile.TemporaryDirectory(prefix="closingbell-bench-", ignore_cleanup_errors=True) as folder:
        server = Path(folder) / "pg"
        try:
            url = postgres.start(server)
            db.migrate(url)
            engine = db.engine(url)
            scores.fill(engine, companies)
            name_them(engine)
            scores._run(url, 2)
            furnish(engine, companies // 2 * 1000 + 1)
            made = [keys.make(engine, "bench", "pro", author="bench")[1] for _ in range(20)]
            with (
                idle_airflow(url, Path(folder) / "airflow"),
                served("closingbell.api.main:app", url) as api,
                served("tests.benchmarks.api:constant", url) as plain,
            ):
                return asyncio.run(_measured(api, plain, made, companies))
        finally:
            postgres.stop(server)


async def _measured(api: int, plain: int, keys: list[str], companies: int) -> list[dict[str, Any]]:
    choice = random.Random(7)
    paths = [f"/api/scores/T{choice.randint(1, companies)}" for _ in range(RATE * SECONDS)]
    for port in (api, plain):  # connections, prepared statements
        await at_rate(port, paths[: RATE * 2], keys)
    base_p99, ours_p99 = [float(np.percentile(await at_rate(port, paths, keys), 99)) for port in (plain, api)]
    fast, fastest = await throughput(api, paths, keys), await throughput(plain, paths, keys)
    rows = [
        _row(f"API, one score at {RATE} a second, p99, ms", ours_p99, P99_MS, f"<= {P99_MS:g}", ours_p99 <= P99_MS),
        _row(
            "API, one score against the route returning a constant, p99, ms", ours_p99, base_p99,
            f"<= {AGAINST_CONSTANT:g}x", ours_p99 <= AGAINST_CONSTANT * base_p99,
        ),
        _row("API, scores a second against the constant", fast, fastest, "none", True),
    ]  # fmt: skip
    budgets = dict.fromkeys(others(companies), OTHERS_MS) | dict.fromkeys(pages(companies), PAGE_MS)
    for path, budget in budgets.items():
        found = await one_by_one(api, [path] * TIMES, keys)
        slowest = float(np.percentile(found, 99))
        rows.append(_row(f"API, {path}, p99, ms", slowest, budget, f"<= {budget:g}", slowest <= budget))
    return rows


def pages(companies: int) -> list[str]:
    """The scoreboard's."""
    return ["/scoreboard", "/scoreboard?sort=ticker&order=worst&page=40", f"/scoreboard/stocks/T{companies // 2}"]


def others(companies: int) -> list[str]:
    """Every other route of the API, with conditions that ask for the most."""
    one, session = f"T{companies // 2}", scores.SESSION
    return [
        f"/api/scores/{one}/history?days=3660",
        f"/api/scores/{one}/evidence",
        f"/api/scores/{one}/changes",
        "/api/scores/top?limit=500",
        "/api/scores/screener?min_value=1&min_growth=1&min_technical=1&sort=growth&limit=500",
        f"/api/scores/top?session={session}&offset=4000",
        "/api/v1/stocks?limit=1000",
        f"/api/v1/stocks/search?q={quote('compny 45')}",
        f"/api/v1/stocks/{one}",
        f"/api/v1/market-data/{one}/latest",
        f"/api/v1/market-data/{one}/history?limit=1000",
        f"/api/v1/sentiment/{one}/latest",
        "/api/openapi.json",
        "/health",
    ]


def name_them(engine: Engine) -> None:
    """A ticker for each stock."""
    statement = (
        "INSERT INTO closingbell.ticker_history (ticker, valid_from, security_id, fetched_at) "
        "SELECT 'T' || cik, :day, security_id, now() FROM closingbell.securities"
    )
    with engine.begin() as connection:
        connection.execute(text(statement), {"day": date(2015, 1, 2)})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def furnish(engine: Engine, security_id: int) -> None:
    """Ten years of scores and bars of one stock, and 300 articles of its last 30 days."""
    with engine.begin() as connection:
        for statement in (YEARS.format(table="ic_scores"), YEARS.format(table="stock_prices"), ARTICLES, OPINIONS):
            connection.execute(text(statement), {"security": security_id, "session": scores.SESSION})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


@contextmanager
def idle_airflow(url: str, home: Path) -> Iterator[None]:
    """A healthy Airflow on the same server with the project's DAGs, all paused."""
    from closingbell.airflow_api import AirflowAPI, AirflowError
    from closingbell.stack.checks import free_port
    from closingbell.stack.environment import airflow_environment
    from closingbell.stack.record import Spec, State
    from closingbell.warehouse import db

    metadata = make_url(url).set(database="airflow").render_as_string(hide_password=False)
    db.create_database(metadata)
    home.mkdir()
    state = State(spec=Spec(port=free_port()), id="", server="")
    state.metadata_url = lambda: metadata  # type: ignore[method-assign]
    environment = os.environ | airflow_environment(state) | {
        "AIRFLOW_HOME": str(home), "CLOSINGBELL_DATABASE_URL": url,
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "password.json"),
    }  # fmt: skip
    with (home / "log").open("wb") as log:
        command = [sys.executable, "-m", "airflow", "standalone"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Airflow does not start: {(home / 'log').read_text()[-2000:]}")
            with suppress(AirflowError):
                if set(AirflowAPI(state.airflow_url, "bench", "").health().values()) == {"healthy"}:
                    break
            time.sleep(0.5)
        time.sleep(IDLE_SECONDS)  # every DAG is parsed once
        yield
    finally:
        parts = [process, *psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
        for part in parts:
            part.terminate()
        for part in psutil.wait_procs(parts[1:], timeout=20)[1]:
            part.kill()
        process.wait()


@contextmanager
def served(app: str, url: str) -> Iterator[int]:
    """The port of a process that serves the application."""
    from closingbell.stack.checks import free_port

    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning", "--no-access-log"]
    process = subprocess.Popen(command, env=os.environ | {"CLOSINGBELL_DATABASE_URL": url})
    try:
        deadline = time.monotonic() + 60
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{app} does not start")
            try:
                asyncio.run(one_by_one(port, ["/nothing"], ["-"], status=404))
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


class Client:
    """One kept connection that asks and reads; HTTP/1.1 as far as uvicorn speaks it to us."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.writer.close()

    async def get(self, path: str, key: str, status: int = 200) -> None:
        """Raises RuntimeError where the answer has another status."""
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {key}\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = await self.reader.readexactly(length)
        if head.split(" ", 2)[1] != str(status):
            raise RuntimeError(f"{path}: {head.splitlines()[0]} {body[:300]!r}")


async def at_rate(port: int, paths: list[str], keys: list[str]) -> np.ndarray:
    """Milliseconds of each request from when it was due, RATE a second."""
    due: asyncio.Queue[tuple[float, str] | None] = asyncio.Queue()
    found: list[float] = []

    async def asks(key: str) -> None:
        async with Client(port) as client:
            while (one := await due.get()) is not None:
                await client.get(one[1], key)
                found.append((time.perf_counter() - one[0]) * 1000)

    clients = [asyncio.create_task(asks(keys[at % len(keys)])) for at in range(CONNECTIONS)]
    began = time.perf_counter() + 0.1
    for number, path in enumerate(paths):
        at = began + number / RATE
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        due.put_nowait((at, path))
    for _ in clients:
        due.put_nowait(None)
    await asyncio.gather(*clients)
    return np.array(found)


async def one_by_one(port: int, paths: list[str], keys: list[str], status: int = 200) -> np.ndarray:
    """Milliseconds of each request, one after the other, after two that are not counted."""
    found = []
    async with Client(port) as client:
        for number, path in enumerate([*paths[:2], *paths]):
            began = time.perf_counter()
            await client.get(path, keys[number % len(keys)], status)
            found.append((time.perf_counter() - began) * 1000)
    return np.array(found[2:] or found)


async def throughput(port: int, paths: list[str], keys: list[str]) -> float:
    """Requests a second with every connection busy."""
    left = iter(paths)

    async def asks(key: str) -> None:
        async with Client(port) as client:
            for path in left:
                await client.get(path, key)

    began = time.perf_counter()
    await asyncio.gather(*(asks(keys[at % len(keys)]) for at in range(CONNECTIONS)))
    return len(paths) / (time.perf_counter() - began)


def _row(name: str, value: float, baseline: float, budget: str, holds: bool) -> dict[str, Any]:
    return {
        "name": name, "value": round(value, 3), "baseline": round(baseline, 3), "ratio": round(value / baseline, 3),
        "budget": budget, "holds": holds,
    }  # fmt: skip


if __name__ == "__main__":
    for row in measure():
        print(row)
