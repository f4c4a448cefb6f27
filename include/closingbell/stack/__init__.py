"""The stack on this machine: PostgreSQL, the sandbox, Airflow. `make up` starts it, `make down` ends exactly that.

In: a Spec. Out: processes, whose ids and start times stand in build/stack/state.json.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

from closingbell.airflow_api import AirflowAPI, AirflowError
from closingbell.stack import checks, processes, record, services
from closingbell.stack.airflow_settings import load_settings_into
from closingbell.stack.environment import (
    airflow_environment,
    deployed,
    deployed_command_environment,
    deployed_environment,
    environment,
    own_environment,
)
from closingbell.stack.keys import price_vendor
from closingbell.stack.processes import MARK
from closingbell.stack.record import USER, Spec, StackError, State, last_state, libpq_url, spec

__all__ = [
    "MARK", "USER", "Spec", "StackError", "State", "adopt", "airflow", "airflow_environ", "down", "environment",
    "is_up", "last_state", "libpq_url", "load_settings_into", "price_vendor", "spec", "up",
]  # fmt: skip


def is_up(state: State) -> bool:
    """Whether every process of the stack runs and Airflow answers as healthy."""
    if not state.processes or any(processes.process_of(*entry) is None for entry in state.processes.values()):
        return False
    try:
        return set(state.airflow().health().values()) == {"healthy"}
    except AirflowError:
        return False


def up(wanted: Spec, say: Callable[[str], None]) -> State:
    """Start the stack, or take the one that runs where it is the wanted one. `say` is told each step."""
    from closingbell.warehouse import db

    with record.only_one(), checks.plain_errors():
        if wanted.mode == "live":
            say("checking the network and the contact")
            checks.check_live(wanted.folder)
            if price_vendor() == "yahoo":
                say(f"no key of a price vendor: every run takes only {wanted.tickers} (TICKERS), from Yahoo")
        running = last_state()
        if (
            running is None
            or running.spec.port != wanted.port
            or processes.process_of(*running.processes.get("airflow", processes.NONE)) is None
        ):
            checks.check_port(wanted.port)
        if given := record.configured_server():
            db.engine(given).connect().close()
        if running is not None:
            if running.spec == wanted and running.server == record.server() and is_up(running):
                say(f"the stack is up already: {running.spec.name}")
                _prepare(running, say)
                return running
            if running.processes:
                say(f"stopping the stack that is up: {running.spec.name}")
            processes.stop(running, keep_postgres=not running.server and not record.configured_server())
        checks.check_disk()
        wanted.folder.mkdir(parents=True, exist_ok=True)
        password = record.password_of(wanted.folder)
        state = State(spec=wanted, id=secrets.token_hex(8), server=record.server(), password=password)
        try:
            say("starting PostgreSQL")
            services.start_postgres(state)
            _prepare(state, say)
            if wanted.mode != "live":
                say(f"starting the vendors' sandbox ({wanted.mode})")
                services.start_sandbox(state)
            say("starting Airflow")
            services.start_airflow(state)
            services.await_airflow(state, say)
            services.load_settings(state)
        except BaseException:
            processes.stop(state, keep_postgres=True)  # no half of a stack stays behind
            raise
        return state


def _prepare(state: State, say: Callable[[str], None]) -> None:
    """Its databases, with every migration: also of a stack that is up, whose code may be newer by now."""
    from closingbell.warehouse import db

    for url in (state.warehouse_url(), state.metadata_url()):
        db.create_database(url)
    applied = db.migrate(state.warehouse_url())
    say(f"warehouse cb_{state.spec.name}: {len(applied)} migrations applied")


def down(say: Callable[[str], None]) -> None:
    """End what `up` started, and nothing else; a stack that is not up is no error."""
    with record.only_one(), checks.plain_errors():
        if (state := last_state()) is None or not (state.processes or state.postgres):
            say("no stack is up")
            return
        processes.stop(state, keep_postgres=False)
        say(f"stopped the stack {state.spec.name}; its databases and files stay under build/stack")


def adopt() -> State | None:
    """Put the last stack's environment into this process, unless CLOSINGBELL_DATABASE_URL names another warehouse.

    In a container that has an Airflow and no stack: the connections of vendors' keys and of airflow_settings.yaml.
    """
    from closingbell.settings import settings

    if (state := _to_join()) is None:
        if deployed():
            os.environ.update(deployed_command_environment())
            settings.cache_clear()
        return None
    with checks.plain_errors():
        os.environ.update(environment(state))
    settings.cache_clear()
    return state


def airflow(state: State | None) -> AirflowAPI | None:
    """Airflow of the stack that is up, else that of CLOSINGBELL_AIRFLOW_URL; None where neither is there."""
    from closingbell.settings import settings

    if state is not None and state.processes:
        return state.airflow()
    given = settings()
    if given.airflow_url and given.airflow_password:
        return AirflowAPI(given.airflow_url, given.airflow_user, given.airflow_password)
    return None


def airflow_environ() -> dict[str, str]:
    """What `airflow` finds beside the caller's environment: the last stack's, else that of a deployment's container."""
    if (state := _to_join()) is not None:
        with checks.plain_errors():
            return own_environment(state) | airflow_environment(state)
    if deployed():
        return deployed_environment()
    raise StackError("no stack was started here yet: run `make up`")


def _to_join() -> State | None:
    """The last stack, unless CLOSINGBELL_DATABASE_URL names another warehouse."""
    given = os.environ.get("CLOSINGBELL_DATABASE_URL")
    if (state := last_state()) is None or (given and state.server != record.server()):
        return None
    return state
