"""The executor of the local stack, in a process of its own as the scheduler is."""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent


def test_workers_are_forked_with_the_slow_imports_done_and_no_pipeline_and_no_thread() -> None:
    started = dedent("""
        import sys, threading
        from unittest.mock import patch
        from airflow.executors.executor_loader import ExecutorLoader

        executor = ExecutorLoader.get_default_executor()
        assert executor.is_local and type(executor).__name__ == "LocalExecutor"
        with patch("airflow.executors.local_executor.LocalExecutor.start") as start:
            executor.start()
        start.assert_called_once_with()
        assert "great_expectations" in sys.modules and "airflow.sdk.execution_time.task_runner" in sys.modules
        assert not [name for name in sys.modules if name.startswith(("closingbell.pipelines", "polars", "torch"))]
        assert threading.active_count() == 1, threading.enumerate()
    """)
    environment = os.environ | {"AIRFLOW__CORE__EXECUTOR": "closingbell.orchestration.executor.LocalExecutor"}
    done = subprocess.run([sys.executable, "-c", started], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
