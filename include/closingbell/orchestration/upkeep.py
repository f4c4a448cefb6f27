"""The tasks of the housekeeping DAG: the warehouse's retention, and that of Airflow's own tables."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from airflow.sdk import get_current_context

from closingbell.settings import settings

log = logging.getLogger(__name__)

AIRFLOW_DB_CONN_ID = "airflow_db"


def clean_warehouse() -> dict[str, int]:
    """Drop abandoned stages and what has outlived its retention; returns how much of each, or would go in a dry run."""
    from closingbell.orchestration import partitions
    from closingbell.orchestration.groups import current_run
    from closingbell.pipelines import housekeeping

    run = current_run()
    counts = housekeeping.clean(run, partitions.living(run.engine, partitions.active_in_airflow))
    log.info("%s: %s", "Dry run, nothing is removed; it would be" if run.params.get("dry_run") else "Removed", counts)
    return counts


def clean_airflow_tables() -> None:
    """`airflow db clean` for rows older than the audits' retention.

    A task cannot reach Airflow's database by design, so its address comes from the connection `airflow_db` alone; the
    task is skipped where there is none.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException, AirflowSkipException
    from sqlalchemy import URL

    try:
        connection = BaseHook.get_connection(AIRFLOW_DB_CONN_ID)
    except AirflowException as error:
        raise AirflowSkipException(
            f"no connection {AIRFLOW_DB_CONN_ID}: add one for Airflow's own database, or run `airflow db clean`"
        ) from error
    url = URL.create(
        "postgresql+psycopg2",
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None,
        port=connection.port,
        database=connection.schema,
        query={name: value for name, value in connection.extra_dejson.items() if isinstance(value, str)},
    )
    before = datetime.now(UTC) - timedelta(days=settings().retain_audits_days)
    command = [sys.executable, "-m", "airflow", "db", "clean", "--skip-archive", "--yes"]
    command += ["--clean-before-timestamp", before.isoformat(timespec="seconds")]
    if get_current_context()["params"].get("dry_run"):
        command.append("--dry-run")
    secret = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.render_as_string(hide_password=False)}
    done = subprocess.run(command, env=os.environ | secret, capture_output=True, text=True, timeout=3000, check=False)
    log.info("%s", done.stdout[-8000:])
    if done.returncode:
        raise RuntimeError(f"airflow db clean ended with code {done.returncode}: {done.stderr[-2000:]}")
