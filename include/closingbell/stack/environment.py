"""The environment of a stack's processes, and of the commands that join it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from closingbell.settings import REPOSITORY
from closingbell.stack import keys
from closingbell.stack.airflow_settings import settings_connection, settings_file
from closingbell.stack.checks import free_port
from closingbell.stack.processes import MARK
from closingbell.stack.record import USER, StackError, State

UNRECORDED = ("benzinga", "gemini", "marketaux")


def environment(state: State) -> dict[str, str]:
    """What a command that joins the stack finds in its environment beside the caller's own: every connection."""
    if state.spec.mode != "live":
        return own_environment(state)
    return _file_connections() | own_environment(state)


def deployed() -> bool:
    """Whether this process has an Airflow of its own, as a container of compose does, and no stack of a checkout."""
    return "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in os.environ and MARK not in os.environ


def deployed_environment() -> dict[str, str]:
    """What Airflow's processes find there beside the caller's own: vendors' keys, and where bars come from."""
    return _key_connections() | {"CLOSINGBELL_PRICE_VENDOR": keys.price_vendor()}


def deployed_command_environment() -> dict[str, str]:
    """What other commands find there: every connection, for they do not read Admin > Connections."""
    return _file_connections() | deployed_environment()


def own_environment(state: State) -> dict[str, str]:
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
        found["CLOSINGBELL_PRICE_VENDOR"] = keys.price_vendor()
        if wanted.tickers:
            found["CLOSINGBELL_TICKERS"] = wanted.tickers
        return found | _key_connections()
    from closingbell.connections import environment as sandbox_environment

    found |= sandbox_environment(state.sandbox_url)
    for vendor in UNRECORDED if wanted.mode == "recorded" else ():  # without a key nobody asks it, and the log says so
        entry = json.loads(found[name := f"AIRFLOW_CONN_{vendor.upper()}"])
        found[name] = json.dumps({field: value for field, value in entry.items() if field != "password"})
    found["CLOSINGBELL_PRICE_VENDOR"] = "polygon"
    found["CLOSINGBELL_TICKERS"] = wanted.tickers  # the operator's own list names live stocks
    found["CLOSINGBELL_MARKET_ENDS_ON"] = state.last_session
    found["CLOSINGBELL_SIMULATED"] = str(wanted.mode == "simulated").lower()
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
        "AIRFLOW__CORE__EXECUTOR": "closingbell.orchestration.executor.LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        # a changed file is read at once; all of them each half minute, the default, keep a fifth of a core busy
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",  # a run is a chain of short tasks
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",  # after a crash tasks go on in a minute, not in six
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",  # a task does not fail because two busy cores answer it late
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(state.spec.folder / "airflow-password.json"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__API__WORKERS": "1",
        # two checkouts on one machine must not share these
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "SPT_NOENV": "1",  # setproctitle keeps the environment readable: `down` knows its processes by it
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


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


def _file_connections() -> dict[str, str]:
    """AIRFLOW_CONN_<ID> of airflow_settings.yaml, without those of the operator's own environment."""
    return {
        f"AIRFLOW_CONN_{c['conn_id'].upper()}": json.dumps(settings_connection(c))
        for c in settings_file()["connections"]
        if not keys.own_connection(c["conn_id"])
    }


def _key_connections() -> dict[str, str]:
    """AIRFLOW_CONN_<ID> of each vendor whose key is given: one without a key would hide Admin > Connections."""
    content = settings_file()
    return {
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(_with_key(content, conn_id, secret))
        for conn_id, secret in keys.vendor_keys().items()
        if not keys.own_connection(conn_id)
    }


def _with_key(content: Mapping[str, Any], conn_id: str, secret: str) -> dict[str, Any]:
    entry = next((c for c in content["connections"] if c["conn_id"] == conn_id), {"conn_type": "http"})
    return {**settings_connection(entry), "password": secret}
