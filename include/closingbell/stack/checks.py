"""What is looked at before a stack starts: port, disk, live vendors. And errors in one line that says what to do."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from closingbell.airflow_api import AirflowError
from closingbell.stack import keys, record
from closingbell.stack.airflow_settings import settings_file
from closingbell.stack.record import StackError

FREE_DISK = 2 * 1024**3  # a small simulated market with Airflow's logs stays below this
_LIVE_TIMEOUT, _LIVE_SECONDS = 12.0, 45.0  # three tries


def check_live(folder: Path) -> None:
    """What live vendors need, within 60 seconds: a contact for SEC, and a network that reaches it.

    `folder` becomes Airflow's home where the operator's own connection has to be read with it.
    """
    from closingbell.connections import ConnectionMissing, Endpoint, resolve
    from closingbell.hooks.sec_edgar import SecEdgar

    contact = keys.dotenv().get("CLOSINGBELL_SEC_CONTACT", "")
    if keys.own_connection("sec_edgar"):
        os.environ.setdefault("AIRFLOW_HOME", str(folder / "airflow"))
        sec = resolve("sec_edgar")
    else:
        entry: dict[str, Any] = next((c for c in settings_file()["connections"] if c["conn_id"] == "sec_edgar"), {})
        sec = Endpoint("sec_edgar", entry.get("conn_host") or "https://www.sec.gov")
    extra = {"contact": contact} | dict(sec.extra) | {"timeout_seconds": _LIVE_TIMEOUT}
    try:
        hook = SecEdgar(dataclasses.replace(sec, extra=extra))
    except ConnectionMissing as error:
        raise StackError(f"MODE=live: {error}") from None
    said: list[tuple[bool, str]] = []
    # a name server that does not answer keeps to no timeout of ours
    asked = threading.Thread(target=lambda: said.append(hook.test()), daemon=True)
    asked.start()
    asked.join(_LIVE_SECONDS)
    passed, message = said[0] if said else (False, f"no answer in {_LIVE_SECONDS:.0f} s")
    if not passed:
        raise StackError(f"MODE=live cannot use {sec.base_url}: {message}; check the network, or use MODE=simulated")


def check_port(port: int) -> None:
    """Raise StackError where somebody listens on the port."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError), socket.socket(family) as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                raise StackError(f"port {port} is used by another program: choose another one, PORT={port + 10} say")


def check_disk() -> None:
    """Raise StackError where the stack would fill the disk."""
    record.ROOT.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(record.ROOT).free
    if free < FREE_DISK:
        raise StackError(
            f"only {free / 1024**3:.1f} GiB free on the disk of {record.ROOT}: "
            f"the stack needs {FREE_DISK / 1024**3:.0f} GiB"
        )


def free_port() -> int:
    """A port of this machine that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Database, disk and Airflow errors as one line that says what to do."""
    from sqlalchemy.exc import SQLAlchemyError

    from closingbell.postgres import EmbeddedPostgresError

    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        host = urlsplit(record.server()).hostname or "the embedded server"
        raise StackError(f"PostgreSQL ({host}) cannot be used: {reason}; check CLOSINGBELL_DATABASE_URL") from error
    except (EmbeddedPostgresError, AirflowError) as error:
        raise StackError(str(error)) from error
    except OSError as error:
        raise StackError(
            f"{error.strerror or error} ({error.filename or record.ROOT}): is the disk full or read-only?"
        ) from error
