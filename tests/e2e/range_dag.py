"""A session's DAG of one task, its consumer, and a run by the form, without a partition key, over a range.

`python range_dag.py` runs it on AIRFLOW_HOME's database and prints what waits for the consumer as the last line, JSON.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from airflow.sdk import DAG, PartitionedAssetTimetable

from closingbell.orchestration import groups, params
from closingbell.orchestration.asset import SESSION_CLOSED
from closingbell.orchestration.timetables import XNYSSessionTimetable
from closingbell.orchestration.waiting import waiting_task
from closingbell.pipelines import base

SESSIONS = {"session": "2025-11-26", "last_session": "2025-12-01"}


def open_run(dag_id: str, run_id: str, partition_key: str, params: dict) -> base.Run:
    of = {"dag_id": dag_id, "run_id": run_id, "partition_key": partition_key, "params": params}
    return base.Run(**of, engine=None, landing=None)


def score() -> None:
    """Never run here: a DAG's test() starts no scheduler."""


base.open_run = open_run

with DAG(
    "closes", schedule=XNYSSessionTimetable(), start_date=datetime(2020, 1, 1, tzinfo=UTC), params=params.sessions()
) as dag:
    waiting_task(task_id="session_closed", outlets=[SESSION_CLOSED])(groups.session_closed)()

with DAG("scores", schedule=PartitionedAssetTimetable(assets=SESSION_CLOSED), is_paused_upon_creation=False):
    waiting_task(task_id="score")(score)()

if __name__ == "__main__":
    from airflow.utils.session import create_session
    from sqlalchemy import text

    run = dag.test(run_conf=SESSIONS, logical_date=None)
    with create_session() as session:
        waiting = "SELECT target_dag_id, partition_key FROM asset_partition_dag_run ORDER BY partition_key"
        found = [list(row) for row in session.execute(text(waiting))]
    print("\n" + json.dumps([str(run.state), run.partition_key, found]))
