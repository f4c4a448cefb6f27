"""No two runs write one partition: a run claims the partition of each table it fills before it writes.

A claim is one row of ops.partition_claims and is never given back: it counts as long as Airflow says that its run has
not ended, so that a killed run blocks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from closingbell.pipelines.base import Run

ACTIVE = ("running", "queued")


class PartitionBusy(RuntimeError):
    """Another run that has not ended writes this partition; the task waits for it (see retry.py)."""


def claim(run: Run, tables: Sequence[str], state_of: Callable[[str, str], str] | None = None) -> None:
    """Make `run` the only one that writes its partition of `tables`; raises PartitionBusy, naming who does.

    state_of: (dag_id, run_id) -> the run's state; Airflow's answer by default, inside a task only.
    """
    from closingbell.warehouse import db

    mine = (run.dag_id, run.run_id)
    for table in sorted(tables):  # in one order, so that two runs never hold one each
        of = {"table": table, "partition_key": run.partition_key}
        ended: tuple[str | None, str | None] = (None, None)
        while (holder := _holder(run, of)) != mine:
            if holder is not None and _active(*holder, state_of or airflow_state):
                raise PartitionBusy(
                    f"{table} {run.partition_key} is written by {holder[0]} {holder[1]}, which has not ended: "
                    "this run waits for it"
                )
            ended = holder or ended
            claimant = {"dag_id": mine[0], "run_id": mine[1], "ended_dag_id": ended[0], "ended_run_id": ended[1]}
            with run.engine.begin() as connection:
                connection.execute(db.statement("partition_claim"), of | claimant)


def airflow_state(dag_id: str, run_id: str) -> str:
    """The run's state, asked through the task's supervisor; 'gone' where Airflow knows no such run."""
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        return str(RuntimeTaskInstance.get_dagrun_state(dag_id, run_id))
    except AirflowRuntimeError:
        return "gone"


def _active(dag_id: str, run_id: str, state_of: Callable[[str, str], str]) -> bool:
    return state_of(dag_id, run_id) in ACTIVE


def _holder(run: Run, of: dict[str, str]) -> tuple[str, str] | None:
    from closingbell.warehouse import db

    rows = db.query(run.engine, "partition_holder", **of)
    return None if rows.is_empty() else rows.row(0)
