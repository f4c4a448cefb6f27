"""The sandbox as a fixture: the vendors on this machine, played by the simulated market."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from closingbell import connections
from closingbell.sandbox.server import Sandbox, open_market, running


@pytest.fixture(scope="session")
def market() -> Any:
    """A simulated market of 25 companies, seed 7; lazy, and shared by the session's tests."""
    return open_market("simulated", seed=7, companies=25)


@pytest.fixture
def sandbox(market: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Sandbox]]:
    """(URL, Sandbox) of a fresh server; AIRFLOW_CONN_<ID> of every vendor point at it."""
    box = Sandbox(market, mode="simulated", seed=7)
    with running(box) as url:
        for name, value in connections.environment(url).items():
            monkeypatch.setenv(name, value)
        yield url, box
