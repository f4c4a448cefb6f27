"""The load path as Airflow tasks: open, land (mapped), stage (mapped), audit, publish.

Between the tasks go batches (ids, keys, paths) and counts, never rows. Everything a task does is in
`closingbell.pipelines.base`; imported inside the tasks, because a DAG file is parsed every 30 seconds.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup, get_current_context

from closingbell.orchestration import asked
from closingbell.orchestration.pod_operator import PipelinePodOperator, Resources
from closingbell.orchestration.waiting import waiting_task
from closingbell.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from closingbell.pipelines.base import Load, Run

log = logging.getLogger(__name__)

BATCH_NAME = "{{ task.op_kwargs['part']['batch']['key'] }}"
POD_NAME = "{{ task.part['batch']['key'] }}"
LOCAL_PODS, CLUSTER_PODS = 2, 12  # of one run at a time
Part = dict[str, Any]
"""One mapped batch: `number` of `of`, and the `batch` itself."""


def load_group(
    load_name: str,
    *,
    pool: str = "default_pool",
    hours: float = 2,
    by_session: bool = False,
    stage_in: Resources | None = None,
) -> TaskGroup:
    """The tasks of one load, in a group of its name.

    pool: the vendor's, for the tasks that ask it. hours: limit of each task. by_session: the run's sessions are its
    partitions. stage_in: each batch is staged by a pod of this size (or a local process) in place of a task.
    """
    limit = timedelta(hours=hours)
    mapped: dict[str, Any] = {"map_index_template": BATCH_NAME, "execution_timeout": limit}
    with TaskGroup(load_name, tooltip=f"land, open, stage, audit, publish: {load_name}") as group:
        parts = waiting_task(task_id="open", pool=pool, execution_timeout=limit)(open_load)(load_name, by_session)
        land = waiting_task(task_id="land", pool=pool, **mapped)(land_part)
        landed = land.partial(load_name=load_name, by_session=by_session).expand(part=parts)
        if stage_in:
            staged = PipelinePodOperator.partial(
                task_id="stage",
                arguments=["--verbose", "stage-batch", load_name],
                cpu=stage_in.cpu,
                memory=stage_in.memory,
                load=load_name,
                by_session=by_session,
                max_active_tis_per_dagrun=LOCAL_PODS if settings().pod_runtime == "local" else CLUSTER_PODS,
                **mapped | {"map_index_template": POD_NAME},
            ).expand(part=landed)
        else:
            stage = waiting_task(task_id="stage", **mapped)(stage_part)
            staged = stage.partial(load_name=load_name, by_session=by_session).expand(part=landed)
        # a plan without batches skips the mapped tasks; what was planned is audited and published all the same
        end: dict[str, Any] = {"execution_timeout": limit}
        audited = waiting_task(task_id="audit", trigger_rule="none_failed", **end)(audit_load)(load_name, by_session)
        published = waiting_task(task_id="publish", **end)(publish_load)(load_name, by_session)
        staged >> audited >> published
    return group


def open_load(load_name: str, by_session: bool = False) -> list[Part]:
    """Plan the batches and open one stage a table; returns the batches."""
    from closingbell.orchestration import partitions
    from closingbell.pipelines import base

    load, run = _claimed(load_name, by_session=by_session)
    batches = base.plan(load, run)
    if not by_session and not run.params.get("dry_run"):
        partitions.claim(run, load.tables, keys=[run.partition_key, *_sessions_in(batches)])
    log.info("%s: %d batches: %s", load_name, len(batches), ", ".join(batch["key"] for batch in batches[:20]))
    if run.params.get("dry_run"):
        log.info("Dry run: nothing is landed, staged or published")
        return []
    for table, stage_id in base.open_stages(load, run, batches).items():
        log.info("%s is staged as staging.%s_%s", table, table, stage_id)
    return [{"number": number, "of": len(batches), "batch": batch} for number, batch in enumerate(batches, 1)]


def land_part(load_name: str, part: Part, by_session: bool = False) -> Part:
    """Ask the vendor and land its answers; returns the batch with their ids."""
    from closingbell.pipelines import base

    load, run = _claimed(load_name, by_session=by_session)
    log.info("Batch %d of %d: %s", part["number"], part["of"], part["batch"]["key"])
    landed = base.land(load, run, part["batch"])
    if landed.get("landing_ids"):  # what is computed lands nothing
        log.info("%s", landed_so_far(load_name, run, part["of"]))
    return part | {"batch": landed}


def stage_part(load_name: str, part: Part, by_session: bool = False) -> dict[str, int]:
    """Parse one landed batch and stage it; returns its rows by table."""
    from closingbell.pipelines import base

    load, run = _claimed(load_name, by_session=by_session)
    log.info("Batch %d of %d: %s", part["number"], part["of"], part["batch"]["key"])
    rows = base.stage(load, run, part["batch"])
    log.info("%s", staged_so_far(load_name, run, part["of"]))
    return rows


def audit_load(load_name: str, by_session: bool = False) -> dict[str, Any]:
    """Audit the stages; returns counts by table. A dry run is skipped from here on."""
    from airflow.sdk.exceptions import AirflowSkipException

    from closingbell.pipelines import base

    load, run = _claimed(load_name, by_session=by_session)
    if run.params.get("dry_run"):
        raise AirflowSkipException("Dry run: nothing was staged")
    return base.audit(load, run)


def publish_load(load_name: str, by_session: bool = False) -> Any:
    """Publish the audited stages, table by table; returns what the ledger says."""
    from closingbell.orchestration import metrics
    from closingbell.pipelines import base

    load, run = _claimed(load_name, by_session=by_session)
    published = base.publish(load, run)
    metrics.published(run, load_name, published, since=_how_far(load_name, run)["opened_at"])
    return published


def whole_load(load_name: str, *, by_session: bool = True, sessions: Sequence[str] | None = None) -> Any:
    """A small derived load in one task, through the same path; returns what the ledger says.

    sessions: these in place of the run's own.
    """
    from closingbell.orchestration import metrics
    from closingbell.pipelines import base

    started = datetime.now(UTC)
    load, run = _claimed(load_name, by_session=by_session, sessions=sessions)
    published = base.run_load(load, run)
    metrics.published(run, load_name, published, since=started)
    return published


def session_closed() -> list[str]:
    """The last task of a session: what follows it happens by the asset it emits; returns the sessions.

    A run with a partition key emits that by itself, one by the form every session it was asked for.
    """
    from closingbell.orchestration.asset import SESSION_CLOSED

    context, run = get_current_context(), current_run(by_session=True)
    closed = [day.isoformat() for day in run.sessions]
    if not context["dag_run"].partition_key:
        context["outlet_events"][SESSION_CLOSED].add_partitions(closed)
    log.info("%d sessions are published, their scores start now: %s", len(closed), ", ".join(closed))
    return closed


def find_sessions() -> list[str]:
    """The sessions whose scores are missing or older than what they are made of; skipped where there is none."""
    from airflow.sdk.exceptions import AirflowSkipException

    from closingbell.pipelines import reconcile

    run = current_run()
    found = [session.isoformat() for session in reconcile.sessions_to_score(run)]
    log.info("%d sessions to score: %s", len(found), ", ".join(found) or "none")
    if run.params.get("dry_run") or not found:
        raise AirflowSkipException("Dry run: no scores are started" if found else "Every score is up to date")
    return found


def rescore(sessions: Any) -> None:
    """Emit `session_closed` once for every session whose indicators and valuations were made again."""
    from closingbell.orchestration.asset import SESSION_CLOSED

    get_current_context()["outlet_events"][SESSION_CLOSED].add_partitions(list(sessions))
    log.info("The scores of %d sessions start now: %s", len(sessions), ", ".join(sessions))


def tell_late() -> list[str]:
    """Tell the operators of sessions that have no scores though they are due; returns them.

    It hears of what no deadline does: a session without any run, because a DAG was paused or the scheduler down.
    """
    from closingbell.orchestration import metrics, notify
    from closingbell.pipelines import reconcile

    context, run = get_current_context(), current_run()
    metrics.ages(run)
    late = [session.isoformat() for session in reconcile.late_sessions(run.engine, datetime.now(UTC))]
    if late and not run.params.get("dry_run"):
        notify.no_scores(context, late)
    return late


def current_run(*, by_session: bool = False) -> Run:
    """The task's run on the configured warehouse, as `asked.of_run` names it."""
    from closingbell.pipelines import base

    context = get_current_context()
    dag_run = context["dag_run"]
    key, params = asked.of_run(dag_run, context["params"], by_session=by_session)
    return base.open_run(dag_run.dag_id, dag_run.run_id, key, params)


def _claimed(load_name: str, *, by_session: bool = False, sessions: Sequence[str] | None = None) -> tuple[Load, Run]:
    """The load and the task's run, which alone may write these partitions of the load's tables from here on."""
    from closingbell.orchestration import partitions

    load, run = _load(load_name), current_run(by_session=by_session)
    if sessions:
        run = replace(run, params=run.params | {"sessions": list(sessions)})
    if not run.params.get("dry_run"):
        partitions.claim(run, load.tables)
    return load, run


def landed_so_far(load_name: str, run: Run, total: int) -> str:
    """`3 of 12 done, expected end 2025-12-05 14:32 UTC` of a load's land tasks."""
    how_far = _how_far(load_name, run)
    return progress(how_far["landed"], total, how_far["opened_at"])


def staged_so_far(load_name: str, run: Run, total: int) -> str:
    """The same of its stage tasks: the first one's end starts the clock, for nothing says when it began."""
    how_far = _how_far(load_name, run)
    return progress(how_far["staged"], total, how_far["first_staged_at"], before=1)


def progress(done: int, total: int, started: datetime | None, now: datetime | None = None, *, before: int = 0) -> str:
    """`3 of 12 done, expected end 14:32 UTC`: as if the rest took as long as what is done since the start.

    before: what was done when the clock started.
    """
    text = f"{done} of {total} done"
    if started is None or done >= total or done <= before:
        return text
    now = now or datetime.now(UTC)
    return f"{text}, expected end {now + (now - started) / (done - before) * (total - done):%Y-%m-%d %H:%M} UTC"


def _how_far(load_name: str, run: Run) -> dict[str, Any]:
    """Of one load of the run: batches landed and staged, when its stages were opened and its first batch staged."""
    from closingbell.pipelines import base
    from closingbell.warehouse import db

    stages = list(base.stage_ids(_load(load_name), run).values())
    return db.query(run.engine, "load_progress", stages=stages, first=stages[0], last=stages[-1]).row(0, named=True)


def _load(load_name: str) -> Load:
    from closingbell.pipelines import LOADS

    return LOADS[load_name]


def _sessions_in(batches: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({day for batch in batches for day in batch.get("sessions", ())})
