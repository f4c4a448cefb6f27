"""The load path as Airflow tasks: open, land (mapped), stage (mapped), audit, publish.

Between the tasks go batches (ids, keys, paths) and counts, never rows. Everything a task does is in
`closingbell.pipelines.base`; imported inside the tasks, because a DAG file is parsed every 30 seconds.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup, get_current_context, task

from closingbell.settings import settings

if TYPE_CHECKING:
    from closingbell.pipelines.base import Load, Run

log = logging.getLogger(__name__)

BATCH_NAME = "{{ task.op_kwargs['part']['batch']['key'] }}"
Part = dict[str, Any]
"""One mapped batch: `number` of `of`, and the `batch` itself."""


def load_group(load_name: str, *, pool: str = "default_pool", hours: float = 2, by_session: bool = False) -> TaskGroup:
    """The tasks of one load, in a group of its name.

    pool: the vendor's, for the tasks that ask it. hours: limit of each task. by_session: refuse a run without one.
    """
    limit = timedelta(hours=hours)
    with TaskGroup(load_name, tooltip=f"land, open, stage, audit, publish: {load_name}") as group:
        parts = task(task_id="open", pool=pool, execution_timeout=limit)(open_load)(load_name, by_session)
        mapped: dict[str, Any] = {"map_index_template": BATCH_NAME, "execution_timeout": limit}
        landed = task(task_id="land", pool=pool, **mapped)(land_part).partial(load_name=load_name).expand(part=parts)
        staged = task(task_id="stage", **mapped)(stage_part).partial(load_name=load_name).expand(part=landed)
        # a plan without batches skips the mapped tasks; what was planned is audited and published all the same
        audited = task(task_id="audit", trigger_rule="none_failed", execution_timeout=limit)(audit_load)(load_name)
        published = task(task_id="publish", execution_timeout=limit)(publish_load)(load_name)
        staged >> audited >> published
    return group


def open_load(load_name: str, by_session: bool = False) -> list[Part]:
    """Plan the batches and open one stage a table; returns the batches."""
    from closingbell.pipelines import base

    load, run = _claimed(load_name, by_session=by_session)
    batches = base.plan(load, run)
    log.info("%s: %d batches: %s", load_name, len(batches), ", ".join(batch["key"] for batch in batches[:20]))
    if run.params.get("dry_run"):
        log.info("Dry run: lists may have been landed; nothing is staged or published")
        return []
    for table, stage_id in base.open_stages(load, run, batches).items():
        log.info("%s is staged as staging.%s_%s", table, table, stage_id)
    return [{"number": number, "of": len(batches), "batch": batch} for number, batch in enumerate(batches, 1)]


def land_part(load_name: str, part: Part) -> Part:
    """Ask the vendor and land its answers; returns the batch with their ids."""
    from closingbell.pipelines import base

    load, run = _claimed(load_name)
    log.info("Batch %d of %d: %s", part["number"], part["of"], part["batch"]["key"])
    landed = base.land(load, run, part["batch"])
    log.info("%s", progress(part["number"], part["of"], _opened_at(run)))
    return part | {"batch": landed}


def stage_part(load_name: str, part: Part) -> dict[str, int]:
    """Parse one landed batch and stage it; returns its rows by table."""
    from closingbell.pipelines import base

    load, run = _claimed(load_name)
    log.info("Batch %d of %d: %s", part["number"], part["of"], part["batch"]["key"])
    rows = base.stage(load, run, part["batch"])
    log.info("%s", progress(part["number"], part["of"], _opened_at(run)))
    return rows


def audit_load(load_name: str) -> dict[str, Any]:
    """Audit the stages; returns counts by table. A dry run is skipped from here on."""
    from airflow.sdk.exceptions import AirflowSkipException

    from closingbell.pipelines import base

    load, run = _claimed(load_name)
    if run.params.get("dry_run"):
        raise AirflowSkipException("Dry run: nothing was staged")
    return base.audit(load, run)


def publish_load(load_name: str) -> Any:
    """Publish the audited stages, table by table; returns what the ledger says."""
    from closingbell.orchestration import metrics
    from closingbell.pipelines import base

    load, run = _claimed(load_name)
    published = base.publish(load, run)
    metrics.published(run, load_name, published, since=_opened_at(run))
    return published


def whole_load(load_name: str, *, by_session: bool = True) -> Any:
    """A small derived load in one task, through the same path; returns what the ledger says."""
    from closingbell.orchestration import metrics
    from closingbell.pipelines import base

    started = datetime.now(UTC)
    load, run = _claimed(load_name, by_session=by_session)
    published = base.run_load(load, run)
    metrics.published(run, load_name, published, since=started)
    return published


def session_closed() -> None:
    """The last task of a session: what follows it happens by the asset it emits."""
    log.info("Session %s is published; its scores start now", current_run(by_session=True).partition_key)


def rescore() -> list[str]:
    """Emit `session_closed` once for every session whose scores are missing or older than what they are made of."""
    from closingbell.orchestration.asset import SESSION_CLOSED
    from closingbell.pipelines import reconcile

    run = current_run()
    found = [session.isoformat() for session in reconcile.sessions_to_score(run)]
    log.info("%d sessions to score: %s", len(found), ", ".join(found) or "none")
    if run.params.get("dry_run") or not found:
        from airflow.sdk.exceptions import AirflowSkipException

        raise AirflowSkipException("Dry run: no scores are started" if found else "Every score is up to date")
    get_current_context()["outlet_events"][SESSION_CLOSED].add_partitions(found)
    return found


def current_run(*, by_session: bool = False) -> Run:
    """The task's run on the configured warehouse.

    Its partition is the run's own key; else, where the form has the field `session`, that or the last session that had
    closed; else the New York day the run was due. With `by_session` the key must be an XNYS session; anything else
    ends the task at once, without retries.
    """
    from closingbell.pipelines import base

    context = get_current_context()
    dag_run, params = context["dag_run"], dict(context["params"])
    if by_session:
        key = session_of(dag_run.partition_key, dag_run.dag_id)
    elif "session" in params:
        key = params["session"] or last_session(dag_run.run_after)
    else:
        key = dag_run.partition_key or _day(dag_run.run_after)
    if params.get("tickers"):
        from closingbell.universe.tickers import normal_ticker

        params["tickers"] = [normal_ticker(ticker) for ticker in params["tickers"]]
    return base.open_run(dag_run.dag_id, dag_run.run_id, key, params)


def _claimed(load_name: str, *, by_session: bool = False) -> tuple[Load, Run]:
    """The load and the task's run, which alone may write this partition of the load's tables from here on."""
    from closingbell.orchestration import partitions

    load, run = _load(load_name), current_run(by_session=by_session)
    if not run.params.get("dry_run"):
        partitions.claim(run, load.tables)
    return load, run


def session_of(partition_key: str | None, dag_id: str) -> str:
    """The run's session; AirflowFailException, with what to do, where the run has none."""
    from airflow.sdk.exceptions import AirflowFailException

    from closingbell import sessions

    if not partition_key:
        raise AirflowFailException(
            f"This run of {dag_id} has no partition key, so it belongs to no session and would start no scores. "
            "Trigger it again with a session (YYYY-MM-DD) in the form's field 'Partition Key', under 'Advanced "
            "Options', or backfill a range."
        )
    try:
        is_session = sessions.is_session(datetime.strptime(partition_key, "%Y-%m-%d").replace(tzinfo=UTC).date())
    except ValueError:
        is_session = False
    if not is_session:
        raise AirflowFailException(
            f"{dag_id}: partition key {partition_key!r} is no New York session (YYYY-MM-DD, no weekend or holiday)"
        )
    return partition_key


def last_session(run_after: datetime) -> str:
    """The last session that had closed by then, or the market's last where it ends earlier."""
    from closingbell import sessions

    session = sessions.latest_session(run_after)
    ends_on = settings().market_ends_on
    return min(session, ends_on).isoformat() if ends_on else session.isoformat()


def progress(done: int, total: int, started: datetime | None, now: datetime | None = None) -> str:
    """`3 of 12 done, expected end 14:32 UTC`: as if the rest took as long as what is done."""
    text = f"{done} of {total} done"
    if started is None or done >= total:
        return text
    now = now or datetime.now(UTC)
    return f"{text}, expected end {now + (now - started) / max(done, 1) * (total - done):%Y-%m-%d %H:%M} UTC"


def _opened_at(run: Run) -> datetime | None:
    from closingbell.warehouse import db

    opened = db.query(run.engine, "run_opened_at", dag_id=run.dag_id, run_id=run.run_id)["opened_at"]
    return opened[0] if len(opened) else None


def _load(load_name: str) -> Load:
    from closingbell.pipelines import LOADS

    return LOADS[load_name]


def _day(moment: datetime) -> str:
    from closingbell.sessions import NEW_YORK

    return moment.astimezone(NEW_YORK).date().isoformat()
