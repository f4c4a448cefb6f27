"""In real DAG runs: tasks that wait are deferred, run again and use up no try; a range starts each session's scores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from closingbell.settings import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


Run = Callable[..., list]


@pytest.fixture(scope="module")
def dag_run(tmp_path_factory) -> Run:
    """Runs a DAG file of this folder on an Airflow database of its own; what its last line says."""
    folder = tmp_path_factory.mktemp("airflow")
    environment = os.environ | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "CLOSINGBELL_POD_RUNTIME": "local",
        "CLOSINGBELL_DATABASE_URL": "postgresql+psycopg2://nobody@localhost/none",
    }

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def run(name: str) -> list:
        dag_file = shutil.copy(Path(__file__).parent / name, folder)
        return json.loads(python(str(dag_file)).splitlines()[-1])

    python("-m", "airflow", "db", "migrate")
    return run


def test_what_a_task_waits_for_defers_it_and_uses_up_no_try(dag_run):
    tasks, executed = dag_run("waiting_dag.py")
    assert tasks == [
        ["audit", -1, None, "success", 1],
        ["land", 0, "batch1", "success", 1],
        ["land", 1, "batch2", "success", 1],
        ["stage", 0, "batch1", "success", 1],
        ["stage", 1, "batch2", "success", 1],
    ]
    assert executed == ["audit 1"] * 3 + ["batch1 1"] + ["batch2 1"] * 2  # name and try of each execution


def test_a_run_over_a_range_starts_the_scores_of_each_session(dag_run):
    days = ["2025-11-26", "2025-11-28", "2025-12-01"]  # Thanksgiving and a weekend between them
    assert dag_run("range_dag.py") == ["success", None, [["scores", day] for day in days]]
