"""LocalExecutor whose workers are forked once the slow imports of tasks are done.

A task is a fork of a worker. Imported by the task, Great Expectations takes more CPU than most audits; a fork has it
for nothing. Of this repository no pipeline is imported here: a task runs the code that is on the disk when it starts.
"""

from __future__ import annotations

from airflow.executors import local_executor


class LocalExecutor(local_executor.LocalExecutor):
    """Airflow's own, under its own name: what Airflow does for a LocalExecutor it does for this one."""

    def start(self) -> None:
        """Import what tasks import, then start the workers."""
        import airflow.dag_processing.dagbag
        import airflow.sdk.execution_time.task_runner  # noqa: F401

        import closingbell.audits.expectation  # noqa: F401  # Great Expectations
        from closingbell.sessions import calendar

        calendar()
        super().start()
