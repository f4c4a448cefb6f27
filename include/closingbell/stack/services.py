"""The parts of a stack, each started and waited for: PostgreSQL, the vendors' sandbox, Airflow."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from closingbell.airflow_api import AirflowError
from closingbell.stack import record
from closingbell.stack.airflow_settings import settings_connection, settings_file, settings_pools, settings_variables
from closingbell.stack.checks import free_port
from closingbell.stack.environment import airflow_environment, own_environment
from closingbell.stack.processes import last_line, process_of, spawn
from closingbell.stack.record import StackError, State

_SANDBOX_SECONDS = 180.0
_AIRFLOW_SECONDS = 300.0


def start_postgres(state: State) -> None:
    """The embedded server, unless the operator has one."""
    if not record.configured_server():
        from closingbell import postgres

        folder = record.ROOT / "postgres"
        state.postgres = str(folder)
        record.save(state)  # before it starts: `down` ends one whose start was interrupted
        postgres.start(folder)


def start_sandbox(state: State) -> None:
    """The vendors of a simulated or recorded market; what its last session is."""
    import httpx

    wanted = state.spec
    port = free_port()
    state.sandbox_url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "closingbell.sandbox", "--mode", wanted.mode, "--port", str(port)]
    command += ["--seed", str(wanted.seed), "--companies", str(wanted.companies)]
    if wanted.recordings:
        command += ["--recordings", wanted.recordings]
    if wanted.faults:
        command += ["--faults", wanted.faults]
    log = wanted.folder / "sandbox.log"
    process = spawn(state, "sandbox", command, log, {})
    with httpx.Client(base_url=state.sandbox_url, trust_env=False, timeout=30) as client:
        deadline = time.monotonic() + _SANDBOX_SECONDS
        while True:
            if process.poll() is not None:
                raise StackError(f"the sandbox ended at once: {last_line(log)} (see {log})")
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
    state.first_session = str(market.get("first_session") or "")
    state.last_session = str(market.get("last_session") or "")
    if not state.last_session:
        raise StackError(f"the {wanted.mode} vendors have no prices, so there is no session to score")
    state.quarters = list(market.get("quarters") or [])
    record.save(state)


def start_airflow(state: State) -> None:
    """Airflow standalone, not waited for."""
    (state.spec.folder / "airflow").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "airflow", "standalone"]
    own = own_environment(state) | airflow_environment(state)
    spawn(state, "airflow", command, state.spec.folder / "airflow.log", own)


def await_airflow(state: State, say: Callable[[str], None]) -> None:
    """Until each part of Airflow is healthy; raises StackError with the log's last line where it ends."""
    api, log = state.airflow(), state.spec.folder / "airflow.log"
    began = time.monotonic()
    shown = ""
    while True:
        if process_of(*state.processes["airflow"]) is None:
            raise StackError(f"Airflow ended while it started: {last_line(log)} (see {log})")
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


def load_settings(state: State) -> None:
    """Connections, pools and variables of airflow_settings.yaml; the UI shows what the environment gives as well."""
    api, content = state.airflow(), settings_file()
    given = {
        name.removeprefix("AIRFLOW_CONN_").lower(): json.loads(value)
        for name, value in own_environment(state).items()
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
