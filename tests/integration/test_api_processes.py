"""Three processes of the API behind a proxy, as docker/api.yaml runs them: the loss of one is not noticed."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from closingbell.api import keys
from closingbell.stack.checks import free_port


@pytest.fixture
def processes(database: Engine, tmp_path: Path) -> Iterator[list[tuple[subprocess.Popen[bytes], str]]]:
    """Three of them, ready, with their addresses."""
    started = []
    for number in range(3):
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "closingbell.api.main:app", "--port", str(port)]
        log = (tmp_path / f"{number}.log").open("wb")
        started.append((subprocess.Popen(command, stderr=log, stdout=log, env=os.environ), f"http://127.0.0.1:{port}"))
    try:
        for process, url in started:
            await_ready(process, url)
        yield started
    finally:
        for process, _ in started:
            process.kill()
            process.wait()


def await_ready(process: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(600):
        assert process.poll() is None, "the API ended as it started"
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not become ready")


@contextmanager
def proxy(backends: list[str]) -> Iterator[str]:
    """The address of one that asks each in turn, and the next where one does not answer, as an ingress does."""
    turn = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first = next(turn)
            for at in range(len(backends)):
                url = f"{backends[(first + at) % len(backends)]}{self.path}"
                try:
                    answer = httpx.get(url, headers={"X-API-Key": self.headers["X-API-Key"] or ""}, trust_env=False)
                except httpx.TransportError:
                    continue
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)
                return
            self.send_error(502)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_the_loss_of_one_process_of_three_is_not_noticed(processes, database):
    _, key = keys.make(database, "tests", "pro", author="tests")
    with proxy([url for _, url in processes]) as address:

        def ask(number: int) -> int:
            if number == 30:
                processes[1][0].kill()
            return httpx.get(f"{address}/api/v1/stocks", headers={"X-API-Key": key}, trust_env=False).status_code

        with ThreadPoolExecutor(4) as askers:
            assert list(askers.map(ask, range(120))) == [200] * 120
    assert processes[1][0].wait() != 0
    assert [process.poll() for process, _ in (processes[0], processes[2])] == [None, None]
