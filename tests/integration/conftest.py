"""The sandbox as a fixture: the vendors on this machine, played by the simulated market."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import airflow.sdk  # noqa: F401  # its first import replaces the root logger's handlers: not in a test that reads the log
import pytest
from fastapi.testclient import TestClient
from load_steps import BEFORE
from scored import Warehouse, fill
from sqlalchemy import Engine, text

from closingbell import connections, sessions
from closingbell.api import main
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.settings import settings
from closingbell.warehouse import db


@pytest.fixture(scope="module", autouse=True)
def _quick(quick_sec: int) -> None:
    pass


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that loads waited before they asked again; nobody really waits."""
    seconds: list[float] = []
    monkeypatch.setattr(base, "sleep", seconds.append)
    return seconds


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


@pytest.fixture(scope="session")
def with_universe(
    market: Any, new_database: Callable[[str | None], str], migrated_template: str, tmp_path_factory: Any
) -> tuple[str, Path]:
    """(name of a database that holds the market's universe, folder of its landing zone), for tests to copy."""
    return _loaded(market, new_database(migrated_template), tmp_path_factory.mktemp("universe"), "universe")


@pytest.fixture(scope="session")
def with_financials_of_november(
    market: Any, new_database: Callable[[str | None], str], migrated_template: str, tmp_path_factory: Any
) -> tuple[str, Path]:
    """The same with statements too, as EDGAR had them on 2025-11-03."""
    folder = tmp_path_factory.mktemp("november")
    return _loaded(market, new_database(migrated_template), folder, "universe", "sec_financials", clock=BEFORE)


def _loaded(market: Any, warehouse: str, folder: Path, *loads: str, clock: datetime | None = None) -> tuple[str, Path]:
    engine, box = db.engine(warehouse), Sandbox(market, mode="simulated", seed=7)
    box.clock = clock or box.clock
    with running(box) as url, pytest.MonkeyPatch.context() as environment:
        for name, value in connections.environment(url).items():
            environment.setenv(name, value)
        for load in loads:
            run = Run(
                dag_id=load, run_id="before", partition_key=market.last_session.isoformat(), engine=engine,
                landing=Landing(str(folder), engine),
            )  # fmt: skip
            base.run_load(LOADS[load], run)
    with db.engine(engine.url.set(database="postgres")).connect() as connection:  # a clone needs it to itself
        ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ended, {"name": engine.url.database})
    return str(engine.url.database), folder


@pytest.fixture
def database_with_universe(
    with_universe: tuple[str, Path], new_database: Callable[[str | None], str]
) -> Iterator[Engine]:
    """An engine on a copy of that database, which is also the configured one."""
    yield from _copied(new_database(with_universe[0]))


@pytest.fixture
def database_of_november(
    with_financials_of_november: tuple[str, Path], new_database: Callable[[str | None], str]
) -> Iterator[Engine]:
    """The same of the database with statements."""
    yield from _copied(new_database(with_financials_of_november[0]))


def _copied(url: str) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        settings.cache_clear()
        yield db.engine(url)
    settings.cache_clear()


@pytest.fixture(scope="module")
def house(market: Any, with_universe: Any, new_database: Any, tmp_path_factory: Any) -> Iterator[Warehouse]:
    """A warehouse with scores of three sessions, which is also the configured one, and a client of the API."""
    url = new_database(with_universe[0])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        settings.cache_clear()
        engine = db.engine(url)
        days = sessions.last_sessions(market.last_session, 3)
        fill(engine, days)
        run = Run(
            dag_id="scores", run_id="tests", partition_key=days[-1].isoformat(), engine=engine,
            landing=Landing(str(tmp_path_factory.mktemp("api")), engine),
            params={"sessions": [day.isoformat() for day in days]},
        )  # fmt: skip
        base.run_load(LOADS["scores"], run)
        found = Warehouse(engine, days)
        with TestClient(main.make_app()) as found.client:
            yield found
    settings.cache_clear()
