"""The processes of a stack: started with its mark, found again by it, ended, and nobody else's."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from closingbell.settings import REPOSITORY
from closingbell.stack.record import State, save

if TYPE_CHECKING:
    import psutil

MARK = "CLOSINGBELL_STACK_ID"  # in the environment of everything a stack starts
NONE = (0, 0.0)  # no process has this id


def spawn(state: State, name: str, command: list[str], log: Path, own: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a part in a session of its own, out of reach of the terminal's Ctrl-C, and note it in state.json."""
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
    save(state)
    return process


def process_of(pid: int, born: float) -> psutil.Process | None:
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


def stop(state: State, *, keep_postgres: bool) -> None:
    """End every process of the stack (SIGTERM, then SIGKILL), and its PostgreSQL unless it is kept."""
    import psutil

    ours: dict[int, psutil.Process] = {}
    for entry in state.processes.values():
        if (leader := process_of(*entry)) is not None:
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
    save(state)
    if state.postgres and not keep_postgres:
        from closingbell import postgres

        postgres.stop(Path(state.postgres))
        state.postgres = ""
        save(state)


def last_line(log: Path) -> str:
    """What a process said last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
