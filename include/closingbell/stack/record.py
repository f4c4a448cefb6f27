"""What a stack is (Spec) and what runs of it (State), as build/stack/state.json keeps it.

Every mode, seed and size has its own warehouse, landing zone and Airflow database, all on one server: the embedded
one, or that of CLOSINGBELL_DATABASE_URL. The file is readable by its owner only, for it holds Airflow's generated
password; vendors' keys are never written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

from closingbell.airflow_api import AirflowAPI
from closingbell.settings import REPOSITORY
from closingbell.stack import keys

Mode = Literal["simulated", "recorded", "live"]
MODES: tuple[Mode, ...] = ("simulated", "recorded", "live")

ROOT = REPOSITORY / "build/stack"
USER = "admin"
YAHOO_LIMIT = 500  # as pipelines.ticker_vendors', whose import costs a second


class StackError(RuntimeError):
    """The stack cannot start or stop; one line that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a stack is: which vendors it sees and on which port Airflow stands."""

    mode: Mode = "simulated"
    recordings: str = ""
    companies: int = 60
    seed: int = 7
    port: int = 8080
    faults: str = ""
    tickers: str = ""  # its CLOSINGBELL_TICKERS, separated by commas

    @property
    def name(self) -> str:
        """Of its databases and its folder: one for each mode and seed, size and faults, or folder of recordings."""
        if self.mode == "live":
            return "live"
        name = f"simulated_{self.seed}_{self.companies}"
        if self.mode == "recorded":
            name = f"recorded_{hashlib.sha256(self.recordings.encode()).hexdigest()[:8]}"
        return f"{name}_faults" if self.faults else name

    @property
    def folder(self) -> Path:
        """Where its landing zone, logs and Airflow home are."""
        return ROOT / self.name


@dataclass(kw_only=True)
class State:
    """What runs, as state.json holds it. `processes` are {name: [pid, start time in seconds since 1970]}."""

    spec: Spec
    id: str
    server: str
    sandbox_url: str = ""
    first_session: str = ""  # of the vendors' prices; empty of live vendors
    last_session: str = ""
    quarters: list[str] = field(default_factory=list)  # that 13F is recorded of
    password: str = field(default="", repr=False)
    processes: dict[str, tuple[int, float]] = field(default_factory=dict)
    postgres: str = ""

    @property
    def airflow_url(self) -> str:
        """Airflow's address on this machine."""
        return f"http://localhost:{self.spec.port}"

    def airflow(self) -> AirflowAPI:
        """A client with the stack's login."""
        return AirflowAPI(self.airflow_url, USER, self.password)

    def warehouse_url(self) -> str:
        """SQLAlchemy URL of its warehouse."""
        return _database(server_url(self.server), f"cb_{self.spec.name}")

    def metadata_url(self) -> str:
        """SQLAlchemy URL of Airflow's own database."""
        return _database(server_url(self.server), f"airflow_{self.spec.name}")


def spec(
    *,
    mode: str,
    recordings: str = "",
    companies: int = 60,
    seed: int = 7,
    port: int = 8080,
    faults: str = "",
    tickers: Sequence[str] = (),
    every_run: bool = False,
) -> Spec:
    """A checked Spec; raises StackError for what cannot be started.

    every_run: `tickers` are those of every run of the stack, as they are always on a live one without a key.
    """
    chosen = next((known for known in MODES if known == mode), None)
    if chosen is None:
        raise StackError(f"MODE={mode} is unknown: use {', '.join(MODES)}")
    if chosen == "recorded":
        if not recordings:
            raise StackError("MODE=recorded needs RECORDINGS=dir, a folder of recorded vendor answers")
        folder = Path(recordings).expanduser().resolve()
        if not folder.is_dir():
            raise StackError(f"RECORDINGS={recordings} is no folder (looked for {folder})")
        if not any((folder / part).is_dir() for part in ("data.sec.gov", "www.sec.gov", "prices", "reference")):
            raise StackError(
                f"RECORDINGS={recordings} holds no recordings: none of data.sec.gov/, www.sec.gov/, prices/ is there"
            )
        recordings = str(folder)
    if not 20 <= companies <= 6000:
        raise StackError(f"COMPANIES={companies}: a simulated market has 20 to 6000")
    if not 0 <= seed < 2**32:
        raise StackError(f"SEED={seed}: use 0 to {2**32 - 1}")
    if not 1024 <= port <= 65535:
        raise StackError(f"PORT={port}: use 1024 to 65535")
    if faults:
        from closingbell.sandbox.faults import rates

        try:
            rates(faults)
            faults = json.dumps(json.loads(faults), sort_keys=True)
        except ValueError as error:
            raise StackError(f"FAULTS={faults}: {error}") from None
    live = chosen == "live"
    kept = ",".join(tickers) if every_run else ""
    if live and keys.price_vendor() == "yahoo":
        kept = _served_by_yahoo(tickers)
    return Spec(
        mode=chosen,
        recordings=recordings if chosen == "recorded" else "",
        companies=companies,
        seed=seed,
        port=port,
        faults="" if live else faults,
        tickers=kept,
    )


def _served_by_yahoo(tickers: Sequence[str]) -> str:
    """The list that every run of a live stack without a key works on: TICKERS, CLOSINGBELL_TICKERS, or a short one."""
    given = [ticker.strip() for ticker in keys.dotenv().get("CLOSINGBELL_TICKERS", "").split(",") if ticker.strip()]
    chosen = list(dict.fromkeys(tickers or given or keys.TICKERS_WITHOUT_A_KEY))
    if len(chosen) > YAHOO_LIMIT:
        raise StackError(
            f"TICKERS names {len(chosen)} stocks: without a key Yahoo serves up to {YAHOO_LIMIT}; "
            "set POLYGON_API_KEY or TIINGO_API_KEY in .env, or name fewer"
        )
    return ",".join(chosen)


def last_state() -> State | None:
    """The stack that was started last; None where there is none."""
    path = ROOT / "state.json"
    try:
        content = json.loads(path.read_text())
        content["spec"] = Spec(**content["spec"])
        content["processes"] = {name: (int(pid), float(born)) for name, (pid, born) in content["processes"].items()}
        return State(**content)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StackError(f"{path} is not readable; end the stack by hand and delete the file") from None


def libpq_url(state: State) -> str:
    """The warehouse as psql and other libpq programs take it."""
    from sqlalchemy import make_url

    from closingbell.warehouse import db

    return db.libpq_url(make_url(state.warehouse_url()))


def server() -> str:
    """Names the server in state.json without its password: the embedded one is ''."""
    from sqlalchemy import make_url

    given = configured_server()
    return make_url(given).render_as_string(hide_password=True) if given else ""


def server_url(server: str) -> str:
    """SQLAlchemy URL of the server that state.json names."""
    if not server:
        from closingbell import postgres

        return postgres.url(ROOT / "postgres")
    if not (given := configured_server()):
        raise StackError(f"the last stack used the server {server}: set CLOSINGBELL_DATABASE_URL to it again")
    return given


def configured_server() -> str:
    """The operator's own server; empty for the embedded one."""
    return keys.dotenv().get("CLOSINGBELL_DATABASE_URL", "")


def _database(server: str, name: str) -> str:
    from sqlalchemy import make_url

    url = make_url(server).set(drivername="postgresql+psycopg2", database=name)
    return url.render_as_string(hide_password=False)


def password_of(folder: Path) -> str:
    """The stack's Airflow password, which stays the same from one start to the next."""
    path = folder / "airflow-password.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads(path.read_text())[USER])
    password = secrets.token_urlsafe(12)
    _write_private(path, json.dumps({USER: password}))
    return password


def save(state: State) -> None:
    """Write state.json, whole or not at all."""
    _write_private(ROOT / "state.json", json.dumps(asdict(state), indent=2) + "\n")


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """One `up` or `down` at a time in a checkout; a second one waits."""
    ROOT.mkdir(parents=True, exist_ok=True)
    lock: IO[str]
    with (ROOT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
