"""
### reconcile: last night's corrections, and every score that they or a late filing change

Owner: closing-bell. 07:00 New York, every day. Fetches the last session's bars again (vendors correct them into the
night), publishes what changed, marks them final, then makes the indicators and valuations anew of every session with a
publish since its score, with rows known by its close but loaded after it, or with no score at all where its indicators
are there or it is one of the last ten, and starts its scores. Older sessions without a score are left to a backfill of
market_close. Tells the operators of sessions that have no scores in time, whatever kept them from running.

**When it fails**
- `reconcile.land`: as in `market_close`. `reconcile.audit`: read the failed expectation on the run's page *Loads*.
- `find`: its log lists the sessions it found and why; skipped where every score is up to date.
- `indicators`: its log ends with the command's error; out of memory: raise `CLOSINGBELL_INDICATORS_MEMORY`.
- `rescore`: clearing it starts the scores again, which changes nothing twice.
- `tell_late` lists the sessions that are late: *Why is today's board late* in the navigation names the missing step.

**Run it again**: trigger it; the field *Session* fetches an older session's bars again.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, task

from closingbell.orchestration import notify, params
from closingbell.orchestration.asset import SESSION_CLOSED
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag
from closingbell.orchestration.groups import find_sessions, load_group, rescore, tell_late, whole_load
from closingbell.orchestration.pod_operator import PipelinePodOperator
from closingbell.orchestration.waiting import waiting_task
from closingbell.settings import settings

PARAMS = {
    "session": params.session(),
    "dry_run": params.dry_run(),
}

with DAG(
    "reconcile",
    description="Corrected bars of the last session, and the scores they change",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 7 * * *", timezone="America/New_York"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.SESSION.value, Tag.PRICES.value],
    on_failure_callback=notify.run_failed,
):
    task(task_id="tell_late")(tell_late)()

    prices = load_group("reconcile", pool=settings().price_vendor)
    # none_failed: a session without anything to correct skips the load, late filings still change scores
    found = task(task_id="find", trigger_rule="none_failed")(find_sessions)()
    indicators = PipelinePodOperator(
        task_id="indicators",
        arguments=["indicators", "--all"],
        cpu=settings().indicators_cpu,
        memory=settings().indicators_memory,
        load="indicators",
        sessions=found,
        execution_timeout=timedelta(hours=settings().indicators_hours),
    )
    ratios = waiting_task(task_id="valuation_ratios")(whole_load)("valuation_ratios", by_session=False, sessions=found)
    again = task(task_id="rescore", outlets=[SESSION_CLOSED])(rescore)(found)

    prices >> found >> indicators >> ratios >> again
