"""
### market_close: prices, indicators and valuation ratios of one session

Owner: closing-bell. Runs after every New York session (the close plus `CLOSINGBELL_CLOSE_DELAY_MINUTES`), once the
vendor has the session complete. Its last task emits `session_closed`, which starts `scores_and_recommendations`.

**Tasks**: `vendor_complete` waits; `prices` lands and publishes bars and corporate actions (400 sessions where a
security's history is missing, gaps filled); `indicators` runs as a pod; `valuation_ratios`; `session_closed`.

**When it fails**
- `vendor_complete`: "no New York session", "has not closed yet": trigger it again with other days. "no bar of any
  ticker": the session is before the vendor's prices or its plan, so take a later one. Timed out: the
  vendor is late; its status page first, then clear the task.
- `prices.land`: 401, 402, 403: correct the connection, then clear. 429 and 5xx are retried by themselves.
- Any task *deferred*: its log says for what. The vendor's day budget is spent, and the task goes on when it resets; or
  another run or command writes the same session, and the task looks again every five minutes. No try is used up.
- `prices.audit`: read the failed expectation on the run's page *Loads*. A missing session or too few stocks: clear
  `prices.open` with what follows it. A wrong bar:
  `closingbell override add reject_bar '{"security_id": 1, "session": "2025-12-05"}' --reason "..."`, then clear.
- `indicators`: its log ends with the command's error; out of memory: raise `CLOSINGBELL_INDICATORS_MEMORY`.

**Run it again, backfill**: clear the run, or trigger it: *Session* alone is one session, with *Last session* a range in
one run, both empty the last session that closed. A partition key does the same for one session, and the form must not
contradict it. One run for each session of a range: Trigger, *Backfill*, or
`closingbell airflow backfill create --dag-id market_close --from-date 2025-11-24 --to-date 2025-12-01`
(with `--reprocess-behavior completed` for sessions that have a run). It makes exactly its sessions, and each starts its
scores. Repeating changes nothing that is already right.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from closingbell.orchestration import notify, params
from closingbell.orchestration.asset import SESSION_CLOSED
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag, scores_deadline
from closingbell.orchestration.groups import load_group, session_closed, whole_load
from closingbell.orchestration.pod_operator import PipelinePodOperator
from closingbell.orchestration.sensors import VendorCompleteSensor
from closingbell.orchestration.timetables import XNYSSessionTimetable
from closingbell.orchestration.waiting import waiting_task
from closingbell.settings import settings

PARAMS = {
    **params.sessions(),
    "tickers": params.tickers(),
    "full": params.full("Load the whole history of 400 sessions again, not only what is missing."),
    "dry_run": params.dry_run(),
}

with DAG(
    "market_close",
    description="Bars, corporate actions, indicators and valuation ratios of one session",
    doc_md=__doc__,
    schedule=XNYSSessionTimetable(settings().close_delay_minutes, settings().market_ends_on),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.SESSION.value, Tag.PRICES.value],
    deadline=scores_deadline(),
    on_failure_callback=notify.run_failed,
):
    complete = VendorCompleteSensor(task_id="vendor_complete")
    prices = load_group("prices", pool=settings().price_vendor, by_session=True)
    indicators = PipelinePodOperator(
        task_id="indicators",
        arguments=["indicators", "{{ '--ticker=' ~ params.tickers | join(',') if params.tickers else '--all' }}"],
        load="indicators",
        by_session=True,
        cpu=settings().indicators_cpu,
        memory=settings().indicators_memory,
        execution_timeout=timedelta(hours=settings().indicators_hours),
    )
    ratios = waiting_task(task_id="valuation_ratios")(whole_load)("valuation_ratios")
    closed = waiting_task(task_id="session_closed", outlets=[SESSION_CLOSED])(session_closed)()

    complete >> prices >> indicators >> ratios >> closed
