"""PipelinePodOperator in both runtimes; Kubernetes is a mock API whose kubelet really runs each pod's command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kmock
import pytest
from airflow.sdk.exceptions import TaskDeferred

from closingbell.orchestration import pod_operator
from closingbell.orchestration.pod_operator import PipelinePodOperator, StepFailed
from closingbell.settings import settings

SECRETS = {"closing-bell": {"CLOSINGBELL_DATABASE_URL": "postgresql://loader:s3cret@warehouse/closingbell"}}


class Cluster:
    """Pods of one namespace behind a mock Kubernetes API; a pod's command runs as a process of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pods: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.created: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def __enter__(self) -> Cluster:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def kubeconfig(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "mock",
            "clusters": [{"name": "mock", "cluster": {"server": str(self.url)}}],
            "users": [{"name": "mock", "user": {"token": "none"}}],
            "contexts": [{"name": "mock", "context": {"cluster": "mock", "user": "mock"}}],
        }

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        pods = r"/api/v1/namespaces/[^/]+/pods"
        async with kmock.KubernetesScaffold() as api, kmock.Server(api) as server:
            api["post", re.compile(pods)] << self._create
            api["get", re.compile(pods)] << self._list
            api["get", re.compile(pods + "/[^/]+")] << self._get
            api["patch", re.compile(pods + "/[^/]+")] << self._patch
            api["delete", re.compile(pods + "/[^/]+")] << self._delete
            api["get", re.compile(pods + "/[^/]+/log")] << self._log
            api["get", re.compile("/api/v1/namespaces/[^/]+/events")] << {"items": [], "metadata": {}}
            self.url = server.url
            self._ready.set()
            await self._stop.wait()

    def start(self, pod: dict[str, Any]) -> dict[str, Any]:
        """What API server and kubelet do with a new pod."""
        name = pod["metadata"]["name"]
        container = pod["spec"]["containers"][0]
        environment = {"PATH": os.environ["PATH"]}  # the config map is optional, and not here
        for source in container.get("envFrom", []):
            environment |= SECRETS[source["secretRef"]["name"]] if "secretRef" in source else {}
        environment |= {variable["name"]: variable["value"] for variable in container.get("env", [])}
        self.processes[name] = subprocess.Popen(
            [*container["command"], *container["args"]],
            env=environment,
            stdout=(self.folder / name).open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.pods[name] = pod
        return self._seen(name)

    def _seen(self, name: str) -> dict[str, Any]:
        code = self.processes[name].poll()
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"  # the log of a pod that ended long ago is not read
        running = {"running": {"startedAt": now}}
        state = running if code is None else {"terminated": {"exitCode": code, "startedAt": now, "finishedAt": now}}
        status = {"name": "base", "ready": True, "restartCount": 0, "image": "i", "imageID": "i", "state": state}
        phase = "Running" if code is None else "Failed" if code else "Succeeded"
        return self.pods[name] | {"status": {"phase": phase, "containerStatuses": [status]}}

    def _create(self, request: kmock.Request) -> Any:
        self.created.append(request.data)
        return self.start(request.data)

    def _list(self, request: kmock.Request) -> Any:
        found = [self._seen(name) for name, pod in self.pods.items() if _selected(pod, request.params["labelSelector"])]
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found}

    def _get(self, request: kmock.Request) -> Any:
        if request.name not in self.pods:
            raise kmock.KubernetesObjectNotFoundError()
        return self._seen(request.name)

    def _patch(self, request: kmock.Request) -> Any:
        self.pods[request.name]["metadata"]["labels"] |= request.data["metadata"]["labels"]
        return self._seen(request.name)

    def _delete(self, request: kmock.Request) -> Any:
        if request.name not in self.pods:
            raise kmock.KubernetesObjectNotFoundError()
        self.processes[request.name].terminate()
        self.deleted.append(request.name)
        return self.pods.pop(request.name)

    async def _log(self, request: kmock.Request) -> AsyncIterator[bytes]:
        process, sent = self.processes[request.name], 0
        yield b""  # a stream without a first part is taken for a missing endpoint
        while True:
            over = process.poll() is not None
            text = (self.folder / request.name).read_bytes()[sent:]
            complete = text if over else text[: text.rfind(b"\n") + 1]
            sent += len(complete)
            for line in complete.splitlines():
                yield f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z {line.decode()}\n".encode()
            if over:
                return
            await asyncio.sleep(0.05)


def _selected(pod: dict[str, Any], selector: str) -> bool:
    labels = pod["metadata"]["labels"]
    terms = [re.fullmatch(r"([^!=]+)(!?=)(.*)", term) for term in selector.split(",")]
    return all((labels.get(term[1]) == term[3]) == (term[2] == "=") for term in terms if term)


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Iterator[Cluster]:
    with Cluster(tmp_path) as running:
        extra = json.dumps({"kube_config": json.dumps(running.kubeconfig())})
        monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps({"conn_type": "kubernetes", "extra": extra}))
        monkeypatch.setenv("CLOSINGBELL_POD_RUNTIME", "kubernetes")
        settings.cache_clear()
        yield running
    settings.cache_clear()


@pytest.fixture
def local(monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("CLOSINGBELL_POD_RUNTIME", "local")
    monkeypatch.setenv("CLOSINGBELL_DATABASE_URL", "postgresql+psycopg2://loader:s3cret@warehouse/closingbell")
    settings.cache_clear()
    yield
    settings.cache_clear()


def context(run_id: str = "scheduled__2025-12-05", try_number: int = 1, map_index: int = -1) -> Any:
    ti = SimpleNamespace(
        dag_id="market_close",
        task_id="indicators",
        run_id=run_id,
        map_index=map_index,
        try_number=try_number,
        xcom_push=lambda **_: None,
    )
    due = datetime(2025, 12, 5, 23, 0, tzinfo=UTC)
    dag_run = SimpleNamespace(dag_id="market_close", run_id=run_id, partition_key="2025-12-05", run_after=due)
    of_run = {"dag_run": dag_run, "params": {"tickers": ["aapl"], "session": None}, "run_id": run_id}
    return of_run | {"ti": ti, "task_instance": ti, "dag": SimpleNamespace()}


def step(code: str, **kwargs: Any) -> PipelinePodOperator:
    """The operator with a Python program in place of the `closingbell` command."""
    return PipelinePodOperator(
        task_id="indicators",
        command=[sys.executable, "-c"],
        arguments=[code],
        cpu=4,
        memory="8Gi",
        **{"by_session": True} | kwargs,
    )


def run(operator: PipelinePodOperator, context: Any) -> None:
    type(operator).execute.__wrapped__(operator, context)


def run_until_killed(operator: PipelinePodOperator) -> None:
    with contextlib.suppress(Exception):
        run(operator, context())


def eventually(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.05)


PRINTS = "import os; print('url', os.environ['CLOSINGBELL_DATABASE_URL'][:10], os.environ['CLOSINGBELL_RUN_ID'])"


def test_pod_runs_the_command_and_its_log_is_the_tasks(cluster, capsys):
    run(step(PRINTS, env={"CLOSINGBELL_LANDING": "s3://bucket"}), context())
    assert "url postgresql scheduled__2025-12-05" in capsys.readouterr().out
    (pod,) = cluster.created
    container = pod["spec"]["containers"][0]
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"cpu": "4", "memory": "8Gi"},
    }
    assert {"name": "CLOSINGBELL_LANDING", "value": "s3://bucket"} in container["env"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True  # the template's
    assert cluster.deleted == [pod["metadata"]["name"]]


def test_pod_gets_secrets_by_reference_and_has_no_xcom_sidecar(cluster):
    run(step("pass"), context())
    (pod,) = cluster.created
    assert "s3cret" not in json.dumps(pod)
    sources = pod["spec"]["containers"][0]["envFrom"]
    assert {"secretRef": {"name": "closing-bell"}} in sources
    assert {"configMapRef": {"name": "closing-bell", "optional": True}} in sources
    assert len(pod["spec"]["containers"]) == 1


def test_failing_pod_fails_the_task(cluster, capsys):
    with pytest.raises(Exception, match="returned a failure"):
        run(step("import sys; print('no bars of 2025-12-05'); sys.exit(3)"), context())
    assert "no bars of 2025-12-05" in capsys.readouterr().out


def test_on_kill_deletes_the_pod(cluster):
    operator = step("import time; print('working', flush=True); time.sleep(60)")
    thread = threading.Thread(target=run_until_killed, args=(operator,), daemon=True)
    thread.start()
    eventually(lambda: operator._pod is not None and operator._pod.pod is not None and cluster.pods)
    operator.on_kill()
    assert len(cluster.deleted) == 1
    eventually(lambda: all(process.poll() == -signal.SIGTERM for process in cluster.processes.values()))
    thread.join(30)


@pytest.mark.parametrize("run_id", ["scheduled__2025-12-05", "manual__2025-12-05"])
def test_retry_joins_the_pod_that_still_runs(cluster, capsys, run_id):
    """A worker died; the pod of the same DAG, partition and task goes on and must not be started twice."""
    code = "import time; time.sleep(2); print('finished once')"
    labels = {"dag_id": "market_close", "partition_key": "2025-12-05", "task_id": "indicators"}
    labels |= {"map_index": "none", "try_number": "1"}
    container = {"name": "base", "command": [sys.executable, "-c"], "args": [code]}
    cluster.start(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "orphan", "namespace": "default", "labels": labels},
            "spec": {"containers": [container]},
        }
    )
    run(step(code), context(run_id=run_id, try_number=2))
    assert cluster.created == []
    assert "finished once" in capsys.readouterr().out
    assert cluster.deleted == ["orphan"]


def test_local_process_gets_the_warehouse_as_environment_only(local, capsys):
    run(step(PRINTS), context())
    log = capsys.readouterr().out
    assert "url postgresql scheduled__2025-12-05" in log
    assert "s3cret" not in log


def test_local_process_asks_which_connections_there_are_though_tasks_may_not_open_airflows_database(
    local, capsys, monkeypatch
):
    """`score` asked for Gemini's and ended with "Could not parse SQLAlchemy URL": the supervisor's is none."""
    for section in ("DATABASE", "CORE"):
        monkeypatch.setenv(f"AIRFLOW__{section}__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    monkeypatch.setenv("AIRFLOW_CONN_TIINGO", '{"conn_type": "tiingo", "password": "k"}')
    monkeypatch.delenv("AIRFLOW_CONN_GEMINI", raising=False)
    asks = "from closingbell.connections import configured; print([configured(of) for of in ('gemini', 'tiingo')])"
    run(step(asks, by_session=False), context())
    assert "[False, True]" in capsys.readouterr().out


def test_local_process_that_fails_fails_the_task_with_its_code(local):
    with pytest.raises(StepFailed, match="exit code 3"):
        run(step("import sys; sys.exit(3)"), context())


SHOWS = (
    "import os, sys; print('got', sys.argv[1:], os.environ.get('CLOSINGBELL_PART'), os.environ['CLOSINGBELL_PARAMS'])"
)
PART = {"number": 3, "of": 46, "batch": {"key": "0000320193-0000789019", "ciks": [320193], "landing_ids": [7, 8]}}


def test_command_works_over_the_runs_sessions_or_those_it_is_given(local, capsys):
    run(step(SHOWS), context())
    assert "got ['--session', '2025-12-05'] None" in capsys.readouterr().out
    run(step(SHOWS, sessions=["2025-12-04", "2025-12-05"]), context())
    assert "got ['--session', '2025-12-04,2025-12-05'] None" in capsys.readouterr().out


def test_mapped_step_finds_its_batch_and_the_runs_params(local, capsys):
    run(step(SHOWS, part=PART), context(map_index=2))
    assert f'got [] {json.dumps(PART)} {{"tickers": ["AAPL"]}}' in capsys.readouterr().out


def test_mapped_step_may_read_a_landing_zone_in_a_bucket(local, capsys, monkeypatch):
    shows = "import os; print('aws', os.environ.get('AIRFLOW_CONN_LAKE', 'none')[:6])"
    monkeypatch.setenv("CLOSINGBELL_LANDING", "s3://bucket/landing")
    monkeypatch.setenv("CLOSINGBELL_LANDING_AWS_CONN_ID", "lake")
    settings.cache_clear()
    run(step(shows, part=PART), context(map_index=2))
    assert "aws none" in capsys.readouterr().out  # no such connection: the machine itself may read
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", '{"conn_type": "aws"}')
    run(step(shows, part=PART), context(map_index=2))
    assert "aws aws://" in capsys.readouterr().out


def test_pods_of_mapped_steps_are_told_apart(cluster):
    """Two batches of one run: neither takes the other's pod for its own, also where a worker died."""
    wait = "import time; time.sleep(2)"
    threads = [
        threading.Thread(target=run, args=(step(wait, part=PART), context(map_index=index)), daemon=True)
        for index in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(pod["metadata"]["labels"]["map_index"] for pod in cluster.created) == ["0", "1"]
    assert len({pod["metadata"]["name"] for pod in cluster.created}) == 2


@pytest.fixture
def spent(monkeypatch) -> datetime:
    """A vendor's day budget that is spent; when it resets."""
    from closingbell.warehouse import db, quota

    resets_at = datetime.now(UTC) + timedelta(hours=9)
    later = {"symbols_left": 0, "symbols_reset_at": resets_at + timedelta(days=9)}
    enough = {"day_left": 5, "resets_at": resets_at - timedelta(hours=8)}
    rows = [{"day_left": 0, "resets_at": resets_at, "symbols_left": None, "symbols_reset_at": None}, enough | later]
    monkeypatch.setattr(db, "engine", lambda: None)
    monkeypatch.setattr(quota, "states", lambda engine: rows)
    return resets_at


@pytest.mark.parametrize("runtime", ["local", "cluster"])
def test_command_that_waits_for_a_quota_defers_the_task_to_its_reset(request, runtime, spent):
    request.getfixturevalue(runtime)
    with pytest.raises(TaskDeferred) as deferred:
        run(step("import sys; sys.exit(75)"), context())
    moment = deferred.value.trigger.moment
    assert spent < moment <= spent + timedelta(seconds=120)
    assert deferred.value.method_name == "resume"


def test_command_that_waits_for_a_months_symbols_defers_the_task_to_their_reset(local, spent, monkeypatch):
    from closingbell.warehouse import quota

    month = spent + timedelta(hours=2)
    row = {"day_left": 7, "resets_at": spent, "symbols_left": 0, "symbols_reset_at": month}
    monkeypatch.setattr(quota, "states", lambda engine: [row])
    with pytest.raises(TaskDeferred) as deferred:
        run(step("import sys; sys.exit(75)"), context())
    assert month < deferred.value.trigger.moment <= month + timedelta(seconds=120)


def test_local_process_keeps_to_its_cores(local, capsys, monkeypatch):
    shows = "import os; print('threads', os.environ['POLARS_MAX_THREADS'], os.environ['OMP_NUM_THREADS'])"
    monkeypatch.setattr(os, "cpu_count", lambda: 3)  # of the four that the step may have
    run(step(shows), context())
    assert "threads 3 3" in capsys.readouterr().out
    run(step(shows, env={"POLARS_MAX_THREADS": "1"}), context())
    assert "threads 1 3" in capsys.readouterr().out


def test_local_process_is_ended_at_its_memory_limit_and_the_setting_is_named(local, monkeypatch):
    monkeypatch.setattr(pod_operator, "MEMORY_SECONDS", 0.1)
    holds = "import time; held = bytearray(200 * 2**20); time.sleep(60)"
    operator = step(holds)
    operator.memory = "100Mi"
    with pytest.raises(StepFailed, match=r"held 0\.\d+ GiB of memory, and its limit is 100Mi; raise its memory"):
        run(operator, context())
    reserves = "import mmap, time; held = mmap.mmap(-1, 2**32, mmap.MAP_PRIVATE); time.sleep(1)"
    operator = step(reserves)
    operator.memory = "100Mi"
    run(operator, context())  # address space is no memory


@pytest.mark.parametrize(
    ("quantity", "amount"), [("4Gi", 2**32), ("512Mi", 2**29), ("2G", 2e9), ("1.5Gi", 1.5 * 2**30)]
)
def test_memory_is_a_kubernetes_quantity(quantity, amount):
    assert pod_operator._bytes(quantity) == amount
    with pytest.raises(ValueError, match="is no amount of memory"):
        pod_operator._bytes(quantity + "B")


def test_on_kill_ends_the_local_process_and_its_children(local, tmp_path):
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "time.sleep(60)\n"
    )
    operator = step(code)
    thread = threading.Thread(target=run_until_killed, args=(operator,), daemon=True)
    thread.start()
    eventually(lambda: pids.exists() and pids.read_text().endswith("\n"))
    operator.on_kill()
    thread.join(20)
    for pid in map(int, pids.read_text().split()):
        eventually(lambda pid=pid: not _alive(pid))


def test_secrets_are_no_template_fields_and_nothing_goes_to_xcom():
    operator = step("pass")
    assert tuple(operator.template_fields) == ("arguments", "env", "sessions")
    assert operator.do_xcom_push is False


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
