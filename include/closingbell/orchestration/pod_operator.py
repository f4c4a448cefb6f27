"""A pipeline step that needs much memory or hours: one `closingbell` command, in a Kubernetes pod or a local process.

The command writes to the warehouse and the landing zone; nothing comes back but its exit code and its log. It is safe
to run twice, so a retry joins the pod of the same DAG, partition and task where that still runs. Secrets reach the
command as environment (a Kubernetes secret; the task's own connections), never as arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from closingbell.orchestration import asked
from closingbell.orchestration.waiting import RESET_UNKNOWN, StepWaits, deferring
from closingbell.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context

LOCAL_GRACE_SECONDS = 15
MEMORY_SECONDS = 1.0  # a local step's memory is looked at so often
EXIT_WAITS = 75  # EX_TEMPFAIL of sysexits.h: the command has to wait, for a vendor's quota or for a partition


@dataclass(frozen=True)
class Resources:
    """Of one step: cores, and memory as a Kubernetes quantity; in a pod requested and limit both."""

    cpu: float
    memory: str


class StepFailed(RuntimeError):
    """The command ended with a code other than 0."""


class PipelinePodOperator(BaseOperator):
    """Runs `closingbell <arguments>`.

    arguments, env: templated; no secrets in either. cpu: cores; memory: a Kubernetes quantity; both are requested and
    limits. connections: Airflow connections the command needs besides the warehouse (in Kubernetes they are keys
    AIRFLOW_CONN_<ID> of the secret). command: what stands before the arguments.
    load: the load it is a step of; its partitions are claimed first. by_session: the run's sessions are its partitions.
    part: a mapped task's landed batch, which the command finds in CLOSINGBELL_PART. sessions (templated): what the
    command is to work over in place of the run's own. Where there is no part, the sessions become `--session A,B`.
    A command that ends with code 75 makes the task defer to the reset of the quota that is spent, else for an hour.
    """

    template_fields: Sequence[str] = ("arguments", "env", "sessions")
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
        load: str = "",
        by_session: bool = False,
        part: dict[str, Any] | None = None,
        sessions: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs["do_xcom_push"] = False
        super().__init__(**kwargs)
        self.arguments = arguments
        self.env = env or {}
        self.cpu = cpu
        self.memory = memory
        self.connections = list(connections)
        self.command = list(command)
        self.load = load
        self.by_session = by_session
        self.part = part
        self.sessions = sessions
        self._process: subprocess.Popen[str] | None = None
        self._pod: Any = None

    def execute(self, context: Context) -> None:
        """Run the command to its end; raises StepFailed, or the pod operator's own error, where it fails."""
        from closingbell.orchestration import metrics

        started = datetime.now(UTC)
        key, params = asked.of_run(context["dag_run"], context["params"], by_session=self.by_session)
        sessions = list(self.sessions or params.get("sessions") or ([key] if self.by_session else []))
        with deferring():
            run = self._claimed(context, key, params, sessions)
            command = [*self.command, *self.arguments]
            if sessions and self.part is None:
                command += ["--session", ",".join(sessions)]
            environment = _identity(context, key, params) | dict(self.env)
            if self.part is not None:
                self.log.info("Batch %d of %d: %s", self.part["number"], self.part["of"], self.part["batch"]["key"])
                environment["CLOSINGBELL_PART"] = json.dumps(self.part)
            if settings().pod_runtime == "kubernetes":
                self._run_in_pod(context, key, command, _threads(self.cpu) | environment)
            else:
                self._run_locally(command, _threads(min(self.cpu, os.cpu_count() or 1)) | environment)
        if run is None:
            return
        if self.part is None:
            metrics.published(run, self.load, metrics.of_ledger(run, self.load), since=started)
        else:
            from closingbell.orchestration import groups

            self.log.info("%s", groups.staged_so_far(self.load, run, self.part["of"]))

    def resume(self, context: Context, event: Any = None) -> None:
        """What the trigger calls when the time has come."""
        self.execute(context)

    def _claimed(self, context: Context, key: str, params: dict[str, Any], sessions: list[str]) -> Any:
        """The run, which alone may write these partitions of the load's tables from here on; None without a load."""
        if not self.load:
            return None
        from closingbell.orchestration import partitions
        from closingbell.pipelines import LOADS, base

        run = base.open_run(context["dag_run"].dag_id, context["dag_run"].run_id, key, params)
        if sessions:
            run = replace(run, params=params | {"sessions": sessions})
        if not params.get("dry_run"):
            partitions.claim(run, LOADS[self.load].tables)
        return run

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

    def _run_in_pod(self, context: Context, key: str, command: list[str], environment: dict[str, str]) -> None:
        from airflow.sdk.exceptions import AirflowSkipException

        self._pod = self._kubernetes_operator(context, key, command, environment)
        try:
            # the guard around execute() refuses an operator that is no task of a DAG; this one is part of a task
            type(self._pod).execute.__wrapped__(self._pod, context)
        except AirflowSkipException as error:  # the pod operator's word for EXIT_WAITS
            raise _waits(command) from error

    def _run_locally(self, command: list[str], step_environment: dict[str, str]) -> None:
        from closingbell.warehouse import db

        self.log.info("Runs %s", " ".join(command))
        environment = {
            **os.environ,
            **_airflow_connections(self.connections),
            **(_landing_connection() if self.part is not None else {}),
            "CLOSINGBELL_DATABASE_URL": db.warehouse_url().render_as_string(hide_password=False),
            # a task's own environment names a metadata database that nobody may open, with which `import airflow` fails
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",
            "PYTHONUNBUFFERED": "1",
            **step_environment,
        }
        limit = _bytes(self.memory)
        self._process = subprocess.Popen(
            _on_this_machine(command),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,  # so that on_kill ends its children too
        )
        assert self._process.stdout is not None
        with _MemoryLimit(self._process, limit) as memory:
            for line in self._process.stdout:
                self.log.info("%s", line.rstrip("\n"))
            code = self._process.wait()
        if code:
            if memory.exceeded:
                held = f"{memory.exceeded / 1024**3:.2f} GiB of memory, and its limit is {self.memory}"
                raise StepFailed(f"{' '.join(command)} was ended: it held {held}; raise its memory setting")
            if code == EXIT_WAITS:
                raise _waits(command)
            reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise StepFailed(f"{' '.join(command)} ended with {reason}; its log is above")

    def _kubernetes_operator(self, context: Context, key: str, command: list[str], environment: dict[str, str]) -> Any:
        from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
        from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value
        from airflow.providers.cncf.kubernetes.secret import Secret
        from kubernetes.client import models as k8s

        ti = context["ti"]
        partition = key if self.by_session else context["dag_run"].run_id
        mapped = [f"{ti.map_index}"] if self.part is not None else []
        labels = {
            "dag_id": make_safe_label_value(ti.dag_id),
            "partition_key": make_safe_label_value(partition),
            "task_id": make_safe_label_value(ti.task_id),
            "map_index": "".join(mapped) or "none",
        }

        class StepPod(KubernetesPodOperator):
            """Found again by DAG, partition, task and batch, whichever run or try started it."""

            def _build_find_pod_label_selector(self, context: Any = None, *, exclude_checked: bool = True) -> str:
                checked = [f"{self.POD_CHECKED_KEY}!=True"] if exclude_checked else []
                return ",".join([f"{name}={value}" for name, value in sorted(labels.items())] + checked)

        resources = {"cpu": str(self.cpu), "memory": self.memory}
        return StepPod(
            task_id=self.task_id,
            name="-".join([ti.dag_id, ti.task_id, *mapped, partition])[:200],
            namespace=settings().pod_namespace,
            image=settings().pod_image,
            pod_template_file=str(settings().pod_template),
            cmds=self.command,
            arguments=command[len(self.command) :],
            env_vars=environment,
            secrets=[Secret("env", None, settings().pod_secret)],
            container_resources=k8s.V1ResourceRequirements(requests=resources, limits=resources),
            labels=labels,
            reattach_on_restart=True,
            get_logs=True,
            on_finish_action="delete_pod",
            startup_timeout_seconds=600,
            skip_on_exit_code=EXIT_WAITS,
            do_xcom_push=False,
            deferrable=False,
        )


class _MemoryLimit:
    """Ends a local step that holds more than its limit, as a cluster does; a pod is limited by Kubernetes.

    What counts is the anonymous memory it really holds, children included: a limit on its address space (RLIMIT_AS,
    RLIMIT_DATA) would count what allocators only reserve. `exceeded`: the bytes it held when it was ended, else 0.
    """

    def __init__(self, process: subprocess.Popen[str], limit: float) -> None:
        self._process, self._limit = process, limit
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory limit", daemon=True)
        self.exceeded = 0

    def __enter__(self) -> _MemoryLimit:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        import psutil

        while not self._over.wait(MEMORY_SECONDS):
            with contextlib.suppress(psutil.Error):
                first = psutil.Process(self._process.pid)
                held = sum(_anonymous(process.memory_info()) for process in (first, *first.children(recursive=True)))
                if held > self._limit:
                    self.exceeded = held
                    _signal_group(self._process, signal.SIGKILL)
                    return


def _anonymous(memory: Any) -> int:
    return int(memory.rss - getattr(memory, "shared", 0))


def _bytes(quantity: str) -> float:
    """A Kubernetes quantity of memory: 4Gi, 512Mi, 2G, 1000000."""
    number = quantity.rstrip("kKMGTi")
    factor = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    try:
        return float(number) * factor[quantity[len(number) :]]
    except (KeyError, ValueError):
        raise ValueError(f"{quantity!r} is no amount of memory: write 4Gi or 512Mi") from None


def _threads(cores: float) -> dict[str, str]:
    """What keeps polars and numpy to so many cores."""
    return dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS"), str(max(1, round(cores))))


def _identity(context: Context, key: str, params: dict[str, Any]) -> dict[str, str]:
    """Whose rows the command writes, so that the ledger and the run's page name the Airflow run."""
    run = context["dag_run"]
    return {
        "CLOSINGBELL_DAG_ID": run.dag_id,
        "CLOSINGBELL_RUN_ID": run.run_id,
        "CLOSINGBELL_PARTITION_KEY": key,
        "CLOSINGBELL_PARAMS": json.dumps(params),
    }


def _waits(command: Sequence[str]) -> StepWaits:
    """Until the first spent budget, of requests or of symbols, resets; an hour where the warehouse knows of none.

    Where the command waits for another one, it ends with the same code, and waits again for that.
    """
    from closingbell.warehouse import db, quota

    budgets = (("day_left", "resets_at"), ("symbols_left", "symbols_reset_at"))
    spent = [row[resets] for row in quota.states(db.engine()) for left, resets in budgets if row[left] == 0]
    until = min(spent, default=datetime.now(UTC) + RESET_UNKNOWN)
    return StepWaits(f"{' '.join(command)} has to wait; its log above says for what", until)


def _airflow_connections(conn_ids: Sequence[str]) -> dict[str, str]:
    """AIRFLOW_CONN_<ID> of those connections that there are; the command has no other way to them."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    found = {}
    for conn_id in conn_ids:
        with contextlib.suppress(AirflowNotFoundException):  # the command says what it lacks, where it needs it
            found[f"AIRFLOW_CONN_{conn_id.upper()}"] = BaseHook.get_connection(conn_id).get_uri()
    return found


def _landing_connection() -> dict[str, str]:
    """The landing zone's, for a step that reads answers; none for a folder, or where the machine itself may read."""
    from airflow.sdk.exceptions import AirflowNotFoundException

    if not settings().landing.startswith("s3://"):
        return {}
    try:
        return _airflow_connections([settings().landing_aws_conn_id])
    except AirflowNotFoundException:
        return {}


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
