"""No two runs write one partition: a run claims the partitions of each table it fills before it writes.

A claim is one row of ops.partition_claims and is never given back. It counts as long as its holder lives, so that what
was killed blocks nobody: a run of Airflow until Airflow says that it has ended, a command (`claimed_by_command`) while
it holds the advisory lock of its name, which PostgreSQL frees with its connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from closingbell.pipelines.base import Run

ACTIVE = ("running", "queued")

_ONE_CLAIMANT = text("SELECT pg_advisory_xact_lock(hashtextextended('partition_claims', 0))")
_LIVE = text("SELECT pg_advisory_lock_shared(hashtextextended(:name, 0))")
_DEAD = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")

StateOf = Callable[[str, str], str]


class PartitionBusy(RuntimeError):
    """Another run or command that has not ended writes this partition; a task waits for it (see waiting.py)."""


def claim(
    run: Run,
    tables: Sequence[str],
    state_of: StateOf | None = None,
    *,
    keys: Sequence[str] | None = None,
    by_command: bool = False,
) -> None:
    """Make `run` the only one that writes its partitions of `tables`: all of them, or none and PartitionBusy.

    keys: the partitions; by default those of the run's sessions, or its own. state_of: (dag_id, run_id) -> the run's
    state; Airflow's answer by default, inside a task only.
    """
    from closingbell.warehouse import db

    wanted = list(keys or run.params.get("sessions") or [run.partition_key])
    values = {"tables": list(tables), "keys": wanted, "dag_id": run.dag_id, "run_id": run.run_id}
    with run.engine.begin() as connection:
        connection.execute(_ONE_CLAIMANT)
        for holder in connection.execute(db.statement("partition_holders"), values).all():
            of = (holder.dag_id, holder.run_id)
            alive = _alive(connection, *of) if holder.by_command else (state_of or airflow_state)(*of) in ACTIVE
            if alive:
                more = f" and {holder.partitions - 1} more" if holder.partitions > 1 else ""
                raise PartitionBusy(
                    f"{holder.partition}{more} is written by {holder.dag_id} {holder.run_id}, which has not ended: "
                    "wait for it"
                )
        connection.execute(db.statement("partition_claim"), values | {"by_command": by_command})


@contextmanager
def claimed_by_command(run: Run, tables: Sequence[str], state_of: StateOf | None = None) -> Iterator[None]:
    """The partitions claimed for as long as the block runs, by a command outside Airflow; raises PartitionBusy.

    state_of: what is known here of Airflow's runs; by default a run counts as active while it has an unpublished stage.
    """

    def unpublished(dag_id: str, run_id: str) -> str:
        from closingbell.warehouse import db

        found = db.query(run.engine, "run_unpublished", dag_id=dag_id, run_id=run_id)["unpublished"][0]
        return "running" if found else "ended"

    with run.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(_LIVE, {"name": _lock_of(run.dag_id, run.run_id)})
        claim(run, tables, state_of or unpublished, by_command=True)
        yield  # NullPool: leaving closes the connection, and with it the lock


def airflow_state(dag_id: str, run_id: str) -> str:
    """The run's state, asked through the task's supervisor; 'gone' where Airflow knows no such run."""
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        return str(RuntimeTaskInstance.get_dagrun_state(dag_id, run_id))
    except AirflowRuntimeError:
        return "gone"


def _alive(connection: Connection, dag_id: str, run_id: str) -> bool:
    return not connection.scalar(_DEAD, {"name": _lock_of(dag_id, run_id)})


def _lock_of(dag_id: str, run_id: str) -> str:
    return f"command {dag_id} {run_id}"
