"""Airflow's REST API (v2), as much of it as the stack, the demo, the doctor and commands ask for.

In: base URL, user, password (SimpleAuthManager). Out: the API's own JSON. Reference: Airflow's "Stable REST API" page.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

import httpx

_TRIES, _WAIT_SECONDS = 3, 2.0


class AirflowError(RuntimeError):
    """Airflow refused a request or did not answer; says which request and why."""


class AirflowAPI:
    """One login; a token that has expired is renewed. Requests time out after 30 seconds.

    Without a user the password is an access token, which is not renewed.
    """

    def __init__(self, base_url: str, user: str, password: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._login = {"username": user, "password": password}
        # the server stands on this machine or in this network: no proxy of the environment is asked
        self._client = httpx.Client(base_url=self.base_url, timeout=30, trust_env=False)
        if not user:
            self._client.headers["Authorization"] = f"Bearer {password}"

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """GET /api/v2<path>."""
        return self._ask("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST /api/v2<path>."""
        return self._ask("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """PATCH /api/v2<path>."""
        return self._ask("PATCH", path, json=body)

    def health(self) -> dict[str, str]:
        """Status by component (metadatabase, scheduler, dag_processor, triggerer); raises AirflowError when down."""
        try:
            answer = self._client.get("/api/v2/monitor/health", timeout=5)
            return {name: str(part.get("status")) for name, part in answer.raise_for_status().json().items() if part}
        except (httpx.HTTPError, ValueError) as error:
            raise AirflowError(f"Airflow at {self.base_url} does not answer: {error}") from None

    def import_errors(self) -> dict[str, str]:
        """{file: traceback} of DAG files that do not parse."""
        return {str(e["filename"]): str(e["stack_trace"]) for e in self.get("/importErrors")["import_errors"]}

    def dags(self) -> dict[str, dict[str, Any]]:
        """Every DAG by id."""
        return {dag["dag_id"]: dag for dag in self.get("/dags", limit=100, exclude_stale=True)["dags"]}

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the DAG."""
        self.patch(f"/dags/{dag_id}", {"is_paused": False})

    def params(self, dag_id: str) -> set[str]:
        """Names of the DAG's params."""
        return set(self.get(f"/dags/{dag_id}/details").get("params") or {})

    def runs(self, dag_id: str, *, partition_key: str | None = None) -> list[dict[str, Any]]:
        """The DAG's runs, newest first; those of one partition where a key is given."""
        runs = self.get(f"/dags/{dag_id}/dagRuns", limit=100, order_by="-run_after")["dag_runs"]
        return [run for run in runs if partition_key is None or run["partition_key"] == partition_key]

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run."""
        return self.get(f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")

    def active(self, runs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the runs (dag_id, run_id) that have not ended."""
        found = self._all("/dags/~/dagRuns", "dag_runs", state=["running", "queued"])
        return {(run["dag_id"], run["dag_run_id"]) for run in found} & set(runs)

    def trigger(self, dag_id: str, conf: dict[str, Any], partition_key: str | None = None) -> str:
        """Start a run; its run id."""
        body: dict[str, Any] = {"logical_date": None, "conf": conf}
        if partition_key is not None:
            body["partition_key"] = partition_key
        return str(self.post(f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def backfill(self, dag_id: str, first: str, last: str, *, reprocess: str = "none", at_once: int = 3) -> int:
        """Start a backfill of the partitions `first` to `last` (ISO dates, included); its id."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "reprocess_behavior": reprocess,
            "max_active_runs": at_once,
        }
        return int(self.post("/backfills", body)["id"])

    def backfill_done(self, backfill_id: int) -> bool:
        """Whether every run of a backfill has ended."""
        return self.get(f"/backfills/{backfill_id}")["completed_at"] is not None

    def clear(self, dag_id: str, run_id: str, task_ids: list[str], *, downstream: bool = False) -> None:
        """Let these tasks of a run start again, and what follows them where `downstream`."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": task_ids,
            "only_failed": False,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        self.post(f"/dags/{dag_id}/clearTaskInstances", body)

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The run's task instances."""
        return self._all(f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances", "task_instances")

    def log(self, task: dict[str, Any]) -> list[str]:
        """The lines of a task instance's last try: time, level, event, and an exception's type and text."""
        path = (
            f"/dags/{task['dag_id']}/dagRuns/{quote(task['dag_run_id'], safe='')}/taskInstances/{task['task_id']}"
            f"/logs/{max(task['try_number'], 1)}"
        )
        lines = []
        for entry in self.get(path, map_index=task["map_index"], full_content=True)["content"]:
            if isinstance(entry, str):
                lines.append(entry)
                continue
            lines.append(" ".join(str(entry[part]) for part in ("timestamp", "level", "event") if entry.get(part)))
            for detail in entry.get("error_detail") or ():
                lines.append(f"{detail.get('exc_type')}: {detail.get('exc_value')}")
        return lines

    def create(self, kind: str, entities: list[dict[str, Any]], *, overwrite: bool) -> None:
        """Make connections, pools or variables; what exists is kept, or replaced where `overwrite`."""
        if not entities:
            return
        action = {
            "action": "create",
            "entities": entities,
            "action_on_existence": "overwrite" if overwrite else "skip",
        }
        done = self.patch(f"/{kind}", {"actions": [action]})
        if errors := (done.get("create") or {}).get("errors"):
            raise AirflowError(f"airflow_settings.yaml: Airflow took not all {kind}: {errors}")

    def _all(self, path: str, name: str, **params: Any) -> list[dict[str, Any]]:
        """Every page of a listing."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(path, limit=100, offset=len(found), **params)
            found += page[name]
            if not page[name] or len(found) >= page["total_entries"]:
                return found

    def _ask(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        try:
            if "Authorization" not in self._client.headers:
                self._renew()
            answer = self._tried(method, path, **kwargs)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._renew()
                answer = self._tried(method, path, **kwargs)
        except httpx.HTTPError as error:
            raise AirflowError(f"Airflow at {self.base_url} does not answer {method} {path}: {error!r}") from None
        if answer.is_error:
            raise AirflowError(f"Airflow answered {method} {path} with {answer.status_code}: {answer.text[:500]}")
        return answer.json()

    def _tried(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A question is asked three times: one that a busy machine answers too late ends no run that goes well."""
        for _ in range(_TRIES - 1 if method == "GET" else 0):
            try:
                return self._client.request(method, f"/api/v2{path}", **kwargs)
            except httpx.TransportError:
                time.sleep(_WAIT_SECONDS)
        return self._client.request(method, f"/api/v2{path}", **kwargs)

    def _renew(self) -> None:
        if not self._login["username"]:
            raise AirflowError(f"Airflow at {self.base_url} refused the access token")
        answer = self._client.post("/auth/token", json=self._login)
        if answer.is_error:
            raise AirflowError(f"Airflow at {self.base_url} refused the login of {self._login['username']}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
