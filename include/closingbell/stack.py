"""The stack on this machine: PostgreSQL, the sandbox, Airflow. `make up` starts it, `make down` ends exactly that.

In: a Spec. Out: processes, whose ids and start times stand in build/stack/state.json (readable by its owner only, for
it holds Airflow's generated password; vendors' keys are never written). Every mode, seed and size has its own
warehouse, landing zone and Airflow database, all on one server: the embedded one, or that of CLOSINGBELL_DATABASE_URL.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from closingbell.airflow_api import AirflowAPI, AirflowError
from closingbell.settings import REPOSITORY

if TYPE_CHECKING:
    import psutil
    from sqlalchemy.orm import Session

Mode = Literal["simulated", "recorded", "live"]
MODES: tuple[Mode, ...] = ("simulated", "recorded", "live")

ROOT = REPOSITORY / "build/stack"
SETTINGS_FILE = REPOSITORY / "airflow_settings.yaml"
USER = "admin"
FREE_DISK = 2 * 1024**3  # a small simulated market with Airflow's logs stays below this
_SANDBOX_SECONDS = 180.0
_AIRFLOW_SECONDS = 300.0
_LIVE_SECONDS = 20.0
MARK = "CLOSINGBELL_STACK_ID"  # in the environment of everything a stack starts
_NONE = (0, 0.0)  # no process has this id

# vendor keys of .env -> the connection that holds them; the first that is set counts
KEYS: dict[str, tuple[str, ...]] = {
    "polygon": ("POLYGON_API_KEY",),
    "tiingo": ("TIINGO_API_KEY", "TIINGO_TOKEN"),
    "marketaux": ("MARKETAUX_API_KEY",),
    "gemini": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "benzinga": ("BENZINGA_API_KEY",),
    "alpha_vantage": ("ALPHA_VANTAGE_API_KEY",),
}


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
    last_session: str = ""
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
        return _database(_server_url(self.server), f"cb_{self.spec.name}")

    def metadata_url(self) -> str:
        """SQLAlchemy URL of Airflow's own database."""
        return _database(_server_url(self.server), f"airflow_{self.spec.name}")


def spec(
    *, mode: str, recordings: str = "", companies: int = 60, seed: int = 7, port: int = 8080, faults: str = ""
) -> Spec:
    """A checked Spec; raises StackError for what cannot be started."""
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
    if not 1024 <= port <= 65535:
        raise StackError(f"PORT={port}: use 1024 to 65535")
    if faults:
        from closingbell.sandbox.faults import rates

        try:
            rates(faults)
            faults = json.dumps(json.loads(faults), sort_keys=True)
        except ValueError as error:
            raise StackError(f"FAULTS={faults}: {error}") from None
    if chosen == "live":
        faults = ""
    return Spec(
        mode=chosen,
        recordings=recordings if chosen == "recorded" else "",
        companies=companies,
        seed=seed,
        port=port,
        faults=faults,
    )


def last_state() -> State | None:
    """The stack that was started last; None where there is none."""
    path = ROOT / "state.json"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        raise StackError(f"{path} is not readable; end the stack by hand and delete the file") from None
    content["spec"] = Spec(**content["spec"])
    content["processes"] = {name: (int(pid), float(born)) for name, (pid, born) in content["processes"].items()}
    return State(**content)


def is_up(state: State) -> bool:
    """Whether every process of the stack runs and Airflow answers as healthy."""
    if not state.processes or any(_process(*entry) is None for entry in state.processes.values()):
        return False
    try:
        return set(state.airflow().health().values()) == {"healthy"}
    except AirflowError:
        return False


def up(wanted: Spec, say: Callable[[str], None]) -> State:
    """Start the stack, or take the one that runs where it is the wanted one. `say` is told each step."""
    from closingbell.warehouse import db

    with _only_one(), _plain_errors():
        if wanted.mode == "live":
            say("checking the network and the contact")
            check_live()
        running = last_state()
        if (
            running is None
            or running.spec.port != wanted.port
            or _process(*running.processes.get("airflow", _NONE)) is None
        ):
            _check_port(wanted.port)
        if given := _configured_server():
            db.engine(given).connect().close()
        if running is not None:
            if running.spec == wanted and running.server == _server() and is_up(running):
                say(f"the stack is up already: {running.spec.name}")
                return running
            if running.processes:
                say(f"stopping the stack that is up: {running.spec.name}")
            _stop(running, keep_postgres=not running.server and not _configured_server())
        _check_disk()
        wanted.folder.mkdir(parents=True, exist_ok=True)
        state = State(spec=wanted, id=secrets.token_hex(8), server=_server(), password=_password(wanted.folder))
        try:
            say("starting PostgreSQL")
            state.postgres = _start_postgres()
            _save(state)
            for url in (state.warehouse_url(), state.metadata_url()):
                db.create_database(url)
            applied = db.migrate(state.warehouse_url())
            say(f"warehouse cb_{wanted.name}: {len(applied)} migrations applied")
            if wanted.mode != "live":
                say(f"starting the vendors' sandbox ({wanted.mode})")
                _start_sandbox(state)
            say("starting Airflow")
            _start_airflow(state)
            _await_airflow(state, say)
            _load_settings(state)
        except BaseException:
            _stop(state, keep_postgres=True)  # no half of a stack stays behind
            raise
        return state


def down(say: Callable[[str], None]) -> None:
    """End what `up` started, and nothing else; a stack that is not up is no error."""
    with _only_one(), _plain_errors():
        if (state := last_state()) is None or not (state.processes or state.postgres):
            say("no stack is up")
            return
        _stop(state, keep_postgres=False)
        say(f"stopped the stack {state.spec.name}; its databases and files stay under build/stack")


def environment(state: State) -> dict[str, str]:
    """What a command that joins the stack finds in its environment beside the caller's own: every connection."""
    if state.spec.mode != "live":
        return _own_environment(state)
    return {
        f"AIRFLOW_CONN_{c['conn_id'].upper()}": json.dumps(settings_connection(c))
        for c in settings_file()["connections"]
    } | _own_environment(state)


def _own_environment(state: State) -> dict[str, str]:
    """Of Airflow as well: without live connections that have no key, for a variable hides Admin > Connections."""
    wanted = state.spec
    found = {
        MARK: state.id,
        "AIRFLOW_HOME": str(wanted.folder / "airflow"),  # commands that resolve connections would write to ~/airflow
        "CLOSINGBELL_DATABASE_URL": state.warehouse_url(),
        "CLOSINGBELL_LANDING": str(wanted.folder / "landing"),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(_postgres_connection(state.warehouse_url())),
        # the vendors of the sandbox, and Airflow's own API, stand on this machine
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "localhost,127.0.0.1"])),
        "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy"), "localhost,127.0.0.1"])),
    }
    if wanted.mode == "live":
        found["CLOSINGBELL_PRICE_VENDOR"] = price_vendor()
        for conn_id, secret in vendor_keys().items():
            found[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(_with_key(settings_file(), conn_id, secret))
        return found
    from closingbell.connections import environment as sandbox_environment

    found |= sandbox_environment(state.sandbox_url)
    found["CLOSINGBELL_PRICE_VENDOR"] = "polygon"
    found["CLOSINGBELL_MARKET_ENDS_ON"] = state.last_session
    if (fortune := wanted.folder / "fortune500.csv").exists():
        found["CLOSINGBELL_FORTUNE500_CSV"] = str(fortune)
    return found


def airflow_environment(state: State) -> dict[str, str]:
    """Airflow's own configuration: standalone, LocalExecutor, small enough for 2 cores."""
    from closingbell.orchestration import metrics
    from closingbell.settings import settings

    port = state.spec.port
    try:
        own = metrics.environment(settings())
    except ValueError as error:
        raise StackError(str(error)) from None
    return own | {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": state.metadata_url(),
        "AIRFLOW_CONN_AIRFLOW_DB": json.dumps(_postgres_connection(state.metadata_url())),  # for housekeeping
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",  # a run is a chain of short tasks
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(state.spec.folder / "airflow-password.json"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__API__WORKERS": "1",
        # two checkouts on one machine must not share these
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_free_port()),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "SPT_NOENV": "1",  # setproctitle keeps the environment readable: `down` knows its processes by it
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def adopt() -> State | None:
    """Put the last stack's environment into this process, unless CLOSINGBELL_DATABASE_URL names another warehouse."""
    from closingbell.settings import settings

    if (state := last_state()) is None or (os.environ.get("CLOSINGBELL_DATABASE_URL") and state.server != _server()):
        return None
    with _plain_errors():
        os.environ.update(environment(state))
    settings.cache_clear()
    return state


def libpq_url(state: State) -> str:
    """The warehouse as psql and other libpq programs take it."""
    from sqlalchemy import make_url

    url = make_url(state.warehouse_url()).set(drivername="postgresql")
    if "host" in url.query:  # a socket folder: libpq takes it from the query
        url = url._replace(host=None)
    return url.render_as_string(hide_password=False)


def dotenv() -> dict[str, str]:
    """The environment over `.env`."""
    from dotenv import dotenv_values

    file = {name: value for name, value in dotenv_values(REPOSITORY / ".env").items() if value}
    return file | {name: value for name, value in os.environ.items() if value}


def vendor_keys() -> dict[str, str]:
    """{connection id: key} for every vendor whose key is given."""
    given = dotenv()
    found = {conn_id: next((given[name] for name in names if name in given), "") for conn_id, names in KEYS.items()}
    return {conn_id: key for conn_id, key in found.items() if key}


def price_vendor() -> str:
    """Where live bars come from: the setting where given, else the best vendor with a key, else Yahoo."""
    keys = vendor_keys()
    chosen = dotenv().get("CLOSINGBELL_PRICE_VENDOR")
    return chosen or next((vendor for vendor in ("polygon", "tiingo") if vendor in keys), "yahoo")


def settings_file() -> dict[str, Any]:
    """airflow_settings.yaml (the Astro CLI's form) with empty lists where a section is missing."""
    import yaml

    try:
        content = (yaml.safe_load(SETTINGS_FILE.read_text()) or {}).get("airflow") or {}
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise StackError(f"{SETTINGS_FILE.name} cannot be read: {error}") from None
    return {section: content.get(section) or [] for section in ("connections", "pools", "variables")}


def load_settings_into(session: Session) -> list[str]:
    """Connections, pools and variables of airflow_settings.yaml into Airflow's database; names of the new ones.

    For a deployment without `make up`. What exists there already is kept.
    """
    from airflow.models.connection import Connection
    from airflow.models.pool import Pool
    from airflow.models.variable import Variable
    from sqlalchemy import select

    content = settings_file()
    new: dict[str, Any] = {}
    known = set(session.scalars(select(Connection.conn_id)))
    for entry in content["connections"]:
        if (conn_id := entry["conn_id"]) not in known:
            fields = settings_connection(entry)
            if "extra" in fields:
                fields["extra"] = json.dumps(fields["extra"])
            new[f"connection {conn_id}"] = Connection(conn_id=conn_id, **fields)
    known = set(session.scalars(select(Pool.pool)))
    for pool in settings_pools(content):
        if pool["name"] not in known:
            new[f"pool {pool['name']}"] = Pool(
                pool=pool["name"], slots=pool["slots"], description=pool["description"], include_deferred=False
            )
    known = set(session.scalars(select(Variable.key)))
    for variable in settings_variables(content):
        if variable["key"] not in known:
            new[f"variable {variable['key']}"] = Variable(key=variable["key"], val=variable["value"])
    session.add_all(new.values())
    return list(new)


def settings_pools(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pools of airflow_settings.yaml in the form of Airflow's API."""
    return [
        {"name": p["pool_name"], "slots": int(p["pool_slot"]), "description": p.get("pool_description") or ""}
        for p in content["pools"]
        if p.get("pool_name")
    ]


def settings_variables(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Variables of airflow_settings.yaml in the form of Airflow's API."""
    return [
        {"key": v["variable_name"], "value": v["variable_value"]}
        for v in content["variables"]
        if v.get("variable_name")
    ]


def settings_connection(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One connection of airflow_settings.yaml in the form of AIRFLOW_CONN_<ID>; empty fields left out."""
    fields = ("conn_type", "host", "schema", "login", "password", "port", "extra")
    values = {name: entry.get(name if name == "conn_type" else f"conn_{name}") for name in fields}
    return {name: value for name, value in values.items() if value not in (None, "", {})}


def check_live() -> None:
    """What live vendors need, within 60 seconds: a contact for SEC, and a network that reaches it."""
    import httpx

    contact = dotenv().get("CLOSINGBELL_SEC_CONTACT", "")
    if "@" not in contact:
        raise StackError(
            "MODE=live needs your e-mail address for SEC's User-Agent: set CLOSINGBELL_SEC_CONTACT (or put it in .env)"
        )
    sec = next((c["conn_host"] for c in settings_file()["connections"] if c["conn_id"] == "sec_edgar"), "")
    try:
        # no redirect is followed: only the connection's own host is asked
        answer = httpx.get(
            f"{sec}/files/company_tickers.json",
            headers={"User-Agent": f"Closing Bell {contact}", "Range": "bytes=0-0"},
            timeout=_LIVE_SECONDS,
        )
    except httpx.HTTPError as error:
        raise StackError(f"MODE=live cannot reach {sec}: {error}; check the network, or use MODE=simulated") from None
    if answer.is_error:
        raise StackError(f"MODE=live: {sec} answered {answer.status_code}; wait ten minutes, then check the contact")


# -- processes --


def _start_postgres() -> str:
    if _configured_server():
        return ""
    from closingbell import postgres

    folder = ROOT / "postgres"
    postgres.start(folder)
    return str(folder)


def _start_sandbox(state: State) -> None:
    import httpx

    wanted = state.spec
    port = _free_port()
    state.sandbox_url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "closingbell.sandbox", "--mode", wanted.mode, "--port", str(port)]
    command += ["--seed", str(wanted.seed), "--companies", str(wanted.companies)]
    if wanted.recordings:
        command += ["--recordings", wanted.recordings]
    if wanted.faults:
        command += ["--faults", wanted.faults]
    log = wanted.folder / "sandbox.log"
    process = _spawn(state, "sandbox", command, log, {})
    with httpx.Client(base_url=state.sandbox_url, trust_env=False, timeout=30) as client:
        deadline = time.monotonic() + _SANDBOX_SECONDS
        while True:
            if process.poll() is not None:
                raise StackError(f"the sandbox ended at once: {_last_line(log)} (see {log})")
            try:
                market = client.get("/_sandbox/market").raise_for_status().json()
                break
            except httpx.HTTPError as error:
                if time.monotonic() > deadline:
                    raise StackError(f"the sandbox does not answer ({error}); see {log}") from None
                time.sleep(0.2)
        fortune = client.get("/_sandbox/fortune500.csv")
        if fortune.is_success:
            (wanted.folder / "fortune500.csv").write_bytes(fortune.content)
    state.last_session = str(market.get("last_session") or "")
    if not state.last_session:
        raise StackError(f"the {wanted.mode} vendors have no prices, so there is no session to score")
    _save(state)


def _start_airflow(state: State) -> None:
    (state.spec.folder / "airflow").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "airflow", "standalone"]
    own = _own_environment(state) | airflow_environment(state)
    _spawn(state, "airflow", command, state.spec.folder / "airflow.log", own)


def _await_airflow(state: State, say: Callable[[str], None]) -> None:
    api, log = state.airflow(), state.spec.folder / "airflow.log"
    began = time.monotonic()
    shown = ""
    while True:
        if _process(*state.processes["airflow"]) is None:
            raise StackError(f"Airflow ended while it started: {_last_line(log)} (see {log})")
        try:
            health = api.health()
            waiting = sorted(part for part, status in health.items() if status != "healthy")
            if not waiting:
                say(f"Airflow is healthy after {time.monotonic() - began:.0f} s")
                return
        except AirflowError:
            waiting = ["api-server"]
        if (text := f"waiting for Airflow's {', '.join(waiting)}") != shown:
            say(shown := text)
        if time.monotonic() - began > _AIRFLOW_SECONDS:
            raise StackError(f"Airflow is not healthy after {_AIRFLOW_SECONDS:.0f} s ({shown}); see {log}")
        time.sleep(0.5)


def _load_settings(state: State) -> None:
    """Connections, pools and variables of airflow_settings.yaml; the UI shows what the environment gives as well."""
    api, content = state.airflow(), settings_file()
    given = {
        name.removeprefix("AIRFLOW_CONN_").lower(): json.loads(value)
        for name, value in _own_environment(state).items()
        if name.startswith("AIRFLOW_CONN_")
    }
    kept = {c["conn_id"]: settings_connection(c) for c in content["connections"] if c["conn_id"] not in given}
    for connections, overwrite in ((given, True), (kept, False)):
        entities = [
            {"connection_id": conn_id, **connection, "extra": json.dumps(connection.get("extra") or {})}
            for conn_id, connection in connections.items()
        ]
        api.create("connections", entities, overwrite=overwrite)
    api.create("pools", settings_pools(content), overwrite=False)
    api.create("variables", settings_variables(content), overwrite=False)


def _spawn(state: State, name: str, command: list[str], log: Path, own: Mapping[str, str]) -> subprocess.Popen[bytes]:
    import psutil

    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, MARK: state.id, **own},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    state.processes[name] = (process.pid, psutil.Process(process.pid).create_time())
    _save(state)
    return process


def _stop(state: State, *, keep_postgres: bool) -> None:
    import psutil

    ours: dict[int, psutil.Process] = {}
    for entry in state.processes.values():
        if (leader := _process(*entry)) is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                ours |= {process.pid: process for process in (leader, *leader.children(recursive=True))}
    ours |= {process.pid: process for process in _marked(state.id)}  # tasks outlive a scheduler that was killed
    ours.pop(os.getpid(), None)
    # the leader first: it ends its own parts, and starts none again
    for process in ours.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(list(ours.values()), timeout=15)
    for process in (*alive, *_marked(state.id)):
        if process.pid != os.getpid():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    psutil.wait_procs(alive, timeout=5)
    state.processes = {}
    if state.postgres and not keep_postgres:
        from closingbell import postgres

        postgres.stop(Path(state.postgres))
        state.postgres = ""
    _save(state)


def _process(pid: int, born: float) -> psutil.Process | None:
    """The process, unless it ended or its number is another's by now."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        process = psutil.Process(pid)
        if abs(process.create_time() - born) < 0.5 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _marked(stack_id: str) -> Iterator[psutil.Process]:
    """Processes of this stack by the mark in their environment, wherever they hang in the tree; not the PostgreSQL."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.environ().get(MARK) == stack_id and not process.name().startswith("postgres"):
                yield process


# -- files and small checks --


def _server() -> str:
    """Names the server in state.json without its password: the embedded one is ''."""
    from sqlalchemy import make_url

    given = _configured_server()
    return make_url(given).render_as_string(hide_password=True) if given else ""


def _server_url(server: str) -> str:
    """SQLAlchemy URL of the server that state.json names."""
    if not server:
        from closingbell import postgres

        return postgres.url(ROOT / "postgres")
    if not (given := _configured_server()):
        raise StackError(f"the last stack used the server {server}: set CLOSINGBELL_DATABASE_URL to it again")
    return given


def _configured_server() -> str:
    return dotenv().get("CLOSINGBELL_DATABASE_URL", "")


def _database(server: str, name: str) -> str:
    from sqlalchemy import make_url

    url = make_url(server).set(drivername="postgresql+psycopg2", database=name)
    return url.render_as_string(hide_password=False)


def _postgres_connection(url: str) -> dict[str, Any]:
    from sqlalchemy import make_url

    parts = make_url(url)
    connection = {
        "conn_type": "postgres",
        "host": parts.host or "",
        "schema": parts.database or "",
        "login": parts.username or "",
        "password": parts.password or "",
        "port": parts.port,
        "extra": dict(parts.query),
    }
    return {name: value for name, value in connection.items() if value not in (None, "", {})}


def _with_key(content: Mapping[str, Any], conn_id: str, secret: str) -> dict[str, Any]:
    entry = next((c for c in content["connections"] if c["conn_id"] == conn_id), {"conn_type": "http"})
    return {**settings_connection(entry), "password": secret}


def _password(folder: Path) -> str:
    path = folder / "airflow-password.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads(path.read_text())[USER])
    password = secrets.token_urlsafe(12)
    _write_private(path, json.dumps({USER: password}))
    return password


def _save(state: State) -> None:
    _write_private(ROOT / "state.json", json.dumps(asdict(state), indent=2) + "\n")


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def _check_port(port: int) -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError), socket.socket(family) as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                raise StackError(f"port {port} is used by another program: choose another one, PORT={port + 10} say")


def _check_disk() -> None:
    ROOT.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(ROOT).free
    if free < FREE_DISK:
        raise StackError(
            f"only {free / 1024**3:.1f} GiB free on the disk of {ROOT}: the stack needs {FREE_DISK / 1024**3:.0f} GiB"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """One `up` or `down` at a time in a checkout; a second one waits."""
    ROOT.mkdir(parents=True, exist_ok=True)
    lock: IO[str]
    with (ROOT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Database, disk and Airflow errors as one line that says what to do."""
    from sqlalchemy.exc import SQLAlchemyError

    from closingbell.postgres import EmbeddedPostgresError

    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        host = urlsplit(_server()).hostname or "the embedded server"
        raise StackError(f"PostgreSQL ({host}) cannot be used: {reason}; check CLOSINGBELL_DATABASE_URL") from error
    except (EmbeddedPostgresError, AirflowError) as error:
        raise StackError(str(error)) from error
    except OSError as error:
        raise StackError(
            f"{error.strerror or error} ({error.filename or ROOT}): is the disk full or read-only?"
        ) from error
