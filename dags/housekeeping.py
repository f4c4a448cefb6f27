"""
### housekeeping: abandoned stages and what has outlived its retention

Owner: closing-bell. Daily 10:00 UTC. Drops stages that no run will finish, removes landings, audits, quarantined rows,
runs' failures and revisions older than the settings `CLOSINGBELL_RETAIN_*`, and rows of Airflow's own tables older than
the audits'.

**When it fails**
- `warehouse`: its log names the statement; a lock held by a long load ends by itself, then clear.
- `airflow_tables`: skipped where no connection `airflow_db` names Airflow's database: add one, or run
  `closingbell airflow db clean` yourself.

**Run it again**: clear or trigger it; it is safe at any time. *Dry run* removes nothing: it logs how many stages and
rows of the warehouse a run would, and what `airflow db clean` would.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable, task

from closingbell.orchestration import notify, params
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag
from closingbell.orchestration.upkeep import clean_airflow_tables, clean_warehouse

PARAMS = {
    "dry_run": params.dry_run("Removes nothing: only counts what a run would."),
}

with DAG(
    "housekeeping",
    description="Drops abandoned stages and applies retention",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 10 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.OPERATIONS.value],
    on_failure_callback=notify.run_failed,
):
    task(task_id="warehouse")(clean_warehouse)()
    task(task_id="airflow_tables")(clean_airflow_tables)()
