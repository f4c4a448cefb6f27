"""Tasks that have to wait, in a real DAG run: deferred, then run again, and no try used up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from closingbell.settings import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_what_a_task_waits_for_defers_it_and_uses_up_no_try(tmp_path):
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "CLOSINGBELL_POD_RUNTIME": "local",
        "CLOSINGBELL_DATABASE_URL": "postgresql+psycopg2://nobody@localhost/none",
    }

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    python("-m", "airflow", "db", "migrate")
    dag_file = shutil.copy(Path(__file__).parent / "waiting_dag.py", tmp_path)
    tasks = json.loads(python(str(dag_file)).splitlines()[-1])
    assert tasks == [
        ["audit", -1, None, "success", 1],
        ["land", 0, "batch1", "success", 1],
        ["land", 1, "batch2", "success", 1],
        ["stage", 0, "batch1", "success", 1],
        ["stage", 1, "batch2", "success", 1],
    ]
    executed = sorted((tmp_path / "seen").read_text().splitlines())
    assert executed == ["audit 1"] * 3 + ["batch1 1"] + ["batch2 1"] * 2  # name and try of each execution
