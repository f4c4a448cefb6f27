"""A pipeline step that needs much memory or hours: one `closingbell` command, in a Kubernetes pod or a local process.

The command writes to the warehouse and the landing zone; nothing comes back but its exit code and its log. It is safe
to run twice, so a retry joins the pod of the same DAG, partition and task where that still runs. Secrets reach the
command as environment (a Kubernetes secret; the task's own connections), never as arguments.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from closingbell.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context

LOCAL_GRACE_SECONDS = 15


class StepFailed(RuntimeError):
    """The command ended with a code other than 0."""


class PipelinePodOperator(BaseOperator):
    """Runs `closingbell <arguments>`.

    arguments, env: templated; no secrets in either. cpu: cores; memory: a Kubernetes quantity; both are requested and
    limits. connections: Airflow connections the command needs besides the warehouse (in Kubernetes they are keys
    AIRFLOW_CONN_<ID> of the secret). command: what stands before the arguments.
    """

    template_fields: Sequence[str] = ("arguments", "env")
    ui_color = "#d9e8f6"

    def __init__(
        self,
        *,
        arguments: Sequence[str],
        cpu: float,
        memory: str,
        env: Mapping[str, str] | None = None,
        connections: Sequence[str] = (),
        command: Sequence[str] = ("closingbell",),
        **kwargs: Any,
    ) -> None:
        kwargs["do_xcom_push"] = False
        super().__init__(**kwargs)
        self.arguments = list(arguments)
        self.env = dict(env or {})
        self.cpu = cpu
        self.memory = memory
        self.connections = list(connections)
        self.command = list(command)
        self._process: subprocess.Popen[str] | None = None
        self._pod: Any = None

    def execute(self, context: Context) -> None:
        """Run the command to its end; raises StepFailed, or the pod operator's own error, where it fails."""
        if settings().pod_runtime == "kubernetes":
            self._pod = self._kubernetes_operator(context)
            # the guard around execute() refuses an operator that is no task of a DAG; this one is part of a task
            type(self._pod).execute.__wrapped__(self._pod, context)
        else:
            self._run_locally(context)

    def on_kill(self) -> None:
        """End the command: delete the pod, or the process and everything it started."""
        if self._pod is not None:
            self._pod.on_kill()
        process = self._process
        if process is None or process.poll() is not None:
            return
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(LOCAL_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)

    def _run_locally(self, context: Context) -> None:
        from closingbell.warehouse import db

        command = [*_on_this_machine(self.command), *self.arguments]
        self.log.info("Runs %s", " ".join(command))
        environment = {
            **os.environ,
            **_airflow_connections(self.connections),
            "CLOSINGBELL_DATABASE_URL": db.warehouse_url().render_as_string(hide_password=False),
            "PYTHONUNBUFFERED": "1",
            **_identity(context),
            **self.env,
        }
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,  # so that on_kill ends its children too
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.info("%s", line.rstrip("\n"))
        if code := self._process.wait():
            reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise StepFailed(f"{' '.join([*self.command, *self.arguments])} ended with {reason}; its log is above")

    def _kubernetes_operator(self, context: Context) -> Any:
        from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
        from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value
        from airflow.providers.cncf.kubernetes.secret import Secret
        from kubernetes.client import models as k8s

        ti = context["ti"]
        partition = context["dag_run"].partition_key or context["dag_run"].run_id
        labels = {
            "dag_id": make_safe_label_value(ti.dag_id),
            "partition_key": make_safe_label_value(partition),
            "task_id": make_safe_label_value(ti.task_id),
        }

        class StepPod(KubernetesPodOperator):
            """Found again by DAG, partition and task, whichever run or try started it."""

            def _build_find_pod_label_selector(self, context: Any = None, *, exclude_checked: bool = True) -> str:
                checked = [f"{self.POD_CHECKED_KEY}!=True"] if exclude_checked else []
                return ",".join([f"{name}={value}" for name, value in sorted(labels.items())] + checked)

        resources = {"cpu": str(self.cpu), "memory": self.memory}
        return StepPod(
            task_id=self.task_id,
            name=f"{ti.dag_id}-{ti.task_id}-{partition}"[:200],
            namespace=settings().pod_namespace,
            image=settings().pod_image,
            pod_template_file=str(settings().pod_template),
            cmds=self.command,
            arguments=self.arguments,
            env_vars={**_identity(context), **self.env},
            secrets=[Secret("env", None, settings().pod_secret)],
            container_resources=k8s.V1ResourceRequirements(requests=resources, limits=resources),
            labels=labels,
            reattach_on_restart=True,
            get_logs=True,
            on_finish_action="delete_pod",
            startup_timeout_seconds=600,
            do_xcom_push=False,
            deferrable=False,
        )


def _identity(context: Context) -> dict[str, str]:
    """Whose rows the command writes, so that the ledger and the run's page name the Airflow run."""
    run = context["dag_run"]
    return {
        "CLOSINGBELL_DAG_ID": run.dag_id,
        "CLOSINGBELL_RUN_ID": run.run_id,
        "CLOSINGBELL_PARTITION_KEY": run.partition_key or "",
    }


def _airflow_connections(conn_ids: Sequence[str]) -> dict[str, str]:
    """AIRFLOW_CONN_<ID> of the connections the task may read; the command has no other way to them."""
    from airflow.sdk import BaseHook

    return {f"AIRFLOW_CONN_{conn_id.upper()}": BaseHook.get_connection(conn_id).get_uri() for conn_id in conn_ids}


def _on_this_machine(command: Sequence[str]) -> list[str]:
    """The command's program beside this Python first: a task's PATH need not hold the environment's bin folder."""
    beside = Path(sys.executable).parent / command[0]
    program = str(beside) if beside.exists() else shutil.which(command[0])
    if program is None:
        raise FileNotFoundError(f"{command[0]} is not installed beside {sys.executable}: pip install closing-bell")
    return [program, *command[1:]]


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
