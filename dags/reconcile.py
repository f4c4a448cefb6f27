"""
### reconcile: last night's corrections, and every score that they or a late filing change

Owner: closing-bell. 07:00 New York, every day. Fetches the last session's bars again (vendors correct them into the
night), publishes what changed, marks them final, then starts the scores of every session with a publish since its
score, with rows known by its close but loaded after it, or with no score at all.

**When it fails**
- `reconcile.land`: as in `market_close`. `reconcile.audit`: read the failed expectation on the run's page *Loads*.
- `rescore`: its log lists the sessions it found and why. Clearing it starts them again, which changes nothing twice.

**Run it again**: trigger it; the field *Session* fetches an older session's bars again.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable, task

from closingbell.orchestration import notify, params
from closingbell.orchestration.asset import SESSION_CLOSED
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag
from closingbell.orchestration.groups import load_group, rescore
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
    # none_failed: a session without anything to correct skips the load, late filings still change scores
    again = task(task_id="rescore", outlets=[SESSION_CLOSED], trigger_rule="none_failed")(rescore)()

    load_group("reconcile", pool=settings().price_vendor) >> again
