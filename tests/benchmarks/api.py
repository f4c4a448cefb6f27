"""The API and the scoreboard on 4,600 stocks: latencies at 200 requests a second, throughput, every other route, pages.

One process of the API under uvicorn, beside the same route returning a constant from a process of its own. Requests are
sent when they are due, answered or not, and a latency counts from then: a stall is seen in all that it holds up.
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
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from fastapi import FastAPI, Response
from sqlalchemy import Engine, text
from tests.benchmarks import scores

RATE, SECONDS, CONNECTIONS = 200, 20, 16
TIMES = 40  # of every other route
P99_MS, OTHERS_MS, PAGE_MS, AGAINST_CONSTANT = 10.0, 500.0, 1000.0, 3.0

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
            made = [keys.make(engine, "bench", "pro", author="bench")[1] for _ in range(20)]
            with served("closingbell.api.main:app", url) as api, served("tests.benchmarks.api:constant", url) as plain:
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
        rows.append(_row(f"API, {path.split('?')[0]}, p99, ms", slowest, budget, f"<= {budget:g}", slowest <= budget))
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
        "/api/scores/top?limit=500",
        "/api/scores/screener?min_value=1&min_growth=1&min_technical=1&sort=growth&limit=500",
        f"/api/scores/top?session={session}&offset=4000",
        "/api/v1/stocks?limit=1000",
        f"/api/v1/stocks/search?q={quote('compny 45')}",
        f"/api/v1/stocks/{one}",
        f"/api/v1/market-data/{one}/latest",
        f"/api/v1/market-data/{one}/history",
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
