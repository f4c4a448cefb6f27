"""No two runs write one partition: a run claims the partitions of each table it fills before it writes.

A partition is a session of a table that has one in its key; every other table is one partition. market_close claims the
sessions it was asked for, not those before them whose bars it finds missing: two runs that fill one hole write the
same rows in either order, since publish lets one of them at a time into a table and a row yields to later answers only.

A claim is one row of ops.partition_claims and is never given back. It counts as long as its holder lives, so that what
was killed blocks nobody: a run of Airflow until Airflow says that it has ended, a command (`claimed_by_command`) while
it holds the advisory lock of its name, which PostgreSQL frees with its connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text

if TYPE_CHECKING:
    from closingbell.pipelines.base import Run

WHOLE = "*"  # the partition of a table without sessions, and every partition of one that has them

_ONE_CLAIMANT = text("SELECT pg_advisory_xact_lock(hashtextextended('partition_claims', 0))")
_LIVE = text("SELECT pg_advisory_lock_shared(hashtextextended(:name, 0))")
_ENDED = text("SELECT pg_advisory_unlock_shared(hashtextextended(:name, 0))")
_ALIVE = text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name"
    " WHERE NOT pg_try_advisory_xact_lock(hashtextextended(name, 0))"
)

Runs = Collection[tuple[str, str]]  # (dag_id, run_id)
Active = Callable[[Runs], Runs]  # those of the runs that have not ended


class PartitionBusy(RuntimeError):
    """Another run or command that has not ended writes this partition; a task waits for it (see waiting.py)."""


def claim(
    run: Run,
    tables: Sequence[str],
    active: Active | None = None,
    *,
    keys: Sequence[str] | None = None,
    by_command: bool = False,
) -> None:
    """Make `run` the only one that writes its partitions of `tables`: all of them, or none and PartitionBusy.

    keys: the sessions, or WHOLE; by default those that the run was asked for, or its own. active: of Airflow's runs;
    its own answer by default, inside a task only.
    """
    from closingbell.warehouse import db
    from closingbell.warehouse.tables import TABLES

    params = run.params
    asked = [day.isoformat() for day in run.sessions] if params.get("first") or params.get("last") else None
    sessions = list(keys or params.get("sessions") or asked or [run.partition_key])
    wanted = [(table, key) for table in tables for key in (sessions if TABLES[table].by_session else [WHOLE])]
    values = {
        "tables": [table for table, _ in wanted],
        "keys": [key for _, key in wanted],
        "dag_id": run.dag_id,
        "run_id": run.run_id,
    }
    with run.engine.begin() as connection:
        connection.execute(_ONE_CLAIMANT)
        rows = connection.execute(db.statement("partition_holders"), values).all()
        holders = {(row.dag_id, row.run_id): row for row in rows}
        commands = [run for run, row in holders.items() if row.by_command]
        runs = [run for run, row in holders.items() if not row.by_command]
        busy = {*_alive(connection, commands), *((active or active_in_airflow)(runs) if runs else ())}
        for holder in (row for run, row in holders.items() if run in busy):
            more = f" and {holder.partitions - 1} more" if holder.partitions > 1 else ""
            raise PartitionBusy(
                f"{holder.partition}{more} is written by {holder.dag_id} {holder.run_id}, which has not ended: "
                "wait for it"
            )
        connection.execute(db.statement("partition_claim"), values | {"by_command": by_command})


@contextmanager
def claimed_by_command(
    run: Run, tables: Sequence[str], active: Active | None = None, *, keys: Sequence[str] | None = None
) -> Iterator[None]:
    """The partitions claimed for as long as the block runs, by a command outside Airflow; raises PartitionBusy.

    keys: see `claim`. active: of Airflow's runs, where it can be asked; else a run counts as active while it has an
    unpublished stage.
    """

    def unpublished(runs: Runs) -> Runs:
        from closingbell.warehouse import db

        dag_ids, run_ids = (list(names) for names in zip(*runs, strict=True))
        return db.query(run.engine, "runs_unpublished", dag_ids=dag_ids, run_ids=run_ids).rows()

    name = {"name": _lock_of((run.dag_id, run.run_id))}
    with run.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(_LIVE, name)
        try:
            claim(run, tables, active or unpublished, keys=keys, by_command=True)
            yield
        finally:
            connection.execute(_ENDED, name)  # PostgreSQL frees what a closed connection held only some time later


def living(engine: Engine, active: Active | None) -> Active:
    """Which runs have not ended: commands by their locks, Airflow's where it can be asked."""

    def alive(runs: Runs) -> Runs:
        with engine.begin() as connection:
            return {*_alive(connection, runs), *(active(runs) if active else ())}

    return alive


def active_in_airflow(runs: Runs) -> Runs:
    """Those that have not ended, asked through the task's supervisor; a run that Airflow does not know has."""
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    found = []
    for dag_id, run_id in runs:
        with suppress(AirflowRuntimeError):
            if str(RuntimeTaskInstance.get_dagrun_state(dag_id, run_id)) in ("running", "queued"):
                found.append((dag_id, run_id))
    return found


def _alive(connection: Connection, runs: Runs) -> Runs:
    names = {_lock_of(run): run for run in runs}
    return [names[name] for name in connection.scalars(_ALIVE, {"names": list(names)})]


def _lock_of(run: tuple[str, str]) -> str:
    return f"command {run[0]} {run[1]}"
