"""What every test may ask for: a migrated PostgreSQL database of its own, a landing zone, the recordings."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from closingbell.settings import REPOSITORY
from closingbell.warehouse import db

_numbers = count(1)

if "AIRFLOW_HOME" not in os.environ:  # importing airflow writes there, and a test leaves no trace in a home
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="closingbell-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
for _folder in ("dags", "plugins"):  # read once, by the first import of airflow
    os.environ[f"AIRFLOW__CORE__{_folder.upper()}_FOLDER"] = str(REPOSITORY / _folder)


@pytest.fixture(scope="module", autouse=True)
def environment_of_the_module() -> Iterator[None]:
    """What a file's tests leave in the environment ends with it: which files a worker runs before is chance."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def quick_sec() -> Iterator[int]:
    """SEC, in this process, is asked 30 times as often and allows it; its own limit a second. Not in tests/e2e."""
    from closingbell import hooks
    from closingbell.sandbox import server

    its_own = server.SEC_PER_SECOND
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(hooks.ALLOWANCES["sec_edgar"], "default", hooks.Allowance(240))
        patch.setitem(hooks.ALLOWANCES["reference"], "default", hooks.Allowance(30))
        patch.setattr(server, "SEC_PER_SECOND", 30 * its_own)
        yield its_own


@pytest.fixture(scope="session")
def postgres_url(worker: str) -> Iterator[str]:
    """A server for this session (and xdist worker): CLOSINGBELL_TEST_DATABASE_URL, else an embedded one."""
    if given := os.environ.get("CLOSINGBELL_TEST_DATABASE_URL"):
        yield given
        return
    from closingbell import postgres

    folder = Path(tempfile.mkdtemp(prefix="closingbell-test-"))
    # a process that is killed loses nothing without fsync; only a machine would
    quick = {"shared_buffers": "64MB", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    try:
        yield postgres.start(folder / "pg", changes=quick)
    finally:
        postgres.stop(folder / "pg")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def worker() -> str:
    """The xdist worker's name, else main."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def new_database(postgres_url: str, worker: str) -> Iterator[Callable[[str | None], str]]:
    """Makes empty databases, or clones of one; gives their URLs and drops them at the end."""
    made: list[str] = []
    server = db.engine(postgres_url)

    def make(template: str | None = None) -> str:
        name = f"closingbell_{worker}_{os.getpid()}_{next(_numbers)}"
        clone = f'TEMPLATE "{template}"' if template else ""
        _autocommit(server, f'CREATE DATABASE "{name}" {clone}')
        made.append(name)
        return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)

    yield make
    for name in made:
        _autocommit(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def migrated_template(new_database: Callable[[str | None], str]) -> str:
    """Name of a database with every migration applied, for cloning."""
    url = new_database(None)
    db.migrate(url)
    return str(make_url(url).database)


@pytest.fixture
def database(new_database: Callable[[str | None], str], migrated_template: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated warehouse, which is also the configured one (CLOSINGBELL_DATABASE_URL)."""
    from closingbell.settings import settings

    url = new_database(migrated_template)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        settings.cache_clear()
        yield db.engine(url)
    settings.cache_clear()
    _autocommit(
        db.engine(make_url(url).set(database="postgres")), f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)'
    )


@pytest.fixture
def landing(database: Engine, tmp_path: Path):
    """A landing zone in a folder of this test."""
    from closingbell.landing import Landing

    return Landing(str(tmp_path / "landing"), database)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded vendor answers: CLOSINGBELL_RECORDINGS, else shared/realdata beside the checkout."""
    if given := os.environ.get("CLOSINGBELL_RECORDINGS"):
        folder = Path(given).expanduser()
        if not folder.is_dir():
            pytest.skip(f"CLOSINGBELL_RECORDINGS={given} is no folder")
        return folder.resolve()
    folder = REPOSITORY.parent / "shared/realdata"
    if not folder.is_dir():
        pytest.skip("no recordings: set CLOSINGBELL_RECORDINGS to a folder of recorded vendor answers")
    return folder


def _autocommit(engine: Engine, statement: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
