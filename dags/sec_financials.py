"""
### sec_financials: company facts, filings and statements from SEC EDGAR

Owner: closing-bell. Sundays 02:00 UTC and on demand, in batches of 100 companies: those that filed since the last
run, or all with *Full*. More than 500 come from SEC's bulk archives. At most 8 requests a
second, all machines together.

**When it fails**
- `open`: "contact": set `CLOSINGBELL_SEC_CONTACT` (SEC answers nobody without one), then clear.
- `land`: SEC's throttle page: everybody waits ten minutes, the task retries. Single companies that fail do not fail
  the batch: they stand on the run's page *Loads* and are tried again by the next run.
- `stage`: a pod for each batch. An unknown column or shape names the company and the field: SEC changed its answer, the
  parser must follow. Out of memory: raise `CLOSINGBELL_FUNDAMENTALS_MEMORY`.
- Any task *deferred*: its log says for what; it goes on by itself, and no try is used up.
- `audit`: read the failed expectation on the run's page. Quarantined rows are there too, with the rule that took them.

**Run it again**: clear the failed task: what is landed is not asked again. One company: trigger with its ticker.
After a parser fix no vendor is needed: `closingbell replay financials`.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable

from closingbell.orchestration import notify, params
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag
from closingbell.orchestration.groups import load_group
from closingbell.orchestration.pod_operator import Resources
from closingbell.settings import settings

PARAMS = {
    "tickers": params.tickers(),
    "full": params.full("Ask for every company, not only for those that filed since the last run."),
    "years": params.years(),
    "limit": params.limit(),
    "dry_run": params.dry_run(),
}

with DAG(
    "sec_financials",
    description="Company facts, filings and statements from SEC EDGAR",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 2 * * SUN", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.FUNDAMENTALS.value],
    on_failure_callback=notify.run_failed,
):
    load_group(
        "sec_financials",
        pool="sec_edgar",
        hours=settings().fundamentals_hours,
        stage_in=Resources(settings().fundamentals_cpu, settings().fundamentals_memory),
    )
