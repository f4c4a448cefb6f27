"""
### institutional_holdings: Form 13F, the CUSIPs' securities, and who owns what

Owner: closing-bell. Tuesday to Saturday 06:00 New York, when EDGAR's index of the day before is whole, and so before
that day's scores. SEC publishes a data set of 13F four times a year, about two weeks after the February, May, August
or November it ends with: each run looks at the page and loads what is new, and between two sets the single filings
that the daily indices list. Of the last four quarters every set that is missing is loaded. At most 8 requests a second.

**Tasks**: `cusips` (SEC's fails-to-deliver files, twice a month: which CUSIP is which security from when on);
`institutional_holdings` (a data set is one batch, 200 single filings are one; a set's rows take the place of those of
single filings); `institutional_ownership` (who owned what, as the close of each session knew it, from the first session
that the new filings, or a security, shares outstanding or a split learned since, touch on).

**When it fails**
- `open`: "the page links no file of the expected name": SEC renamed its files; `institutions/catalog.py` must follow.
- `land`: SEC's throttle page: everybody waits ten minutes, the task retries. Single filings that fail do not fail the
  batch: they stand on the run's page *Loads* and are tried again by the next run.
- `stage`: a pod for each batch. "member ... is missing", "column ... is unknown", "grows from ... to over": SEC changed
  the data set, or the file was cut: clear `land` with what follows it. Out of memory (a quarter needs under 2 GiB):
  raise `CLOSINGBELL_INSTITUTIONS_MEMORY`.
- `audit`: `most_totals_reconciled`: tables disagree with their cover pages, the set was cut: clear `land`. Warnings
  name filers whose totals or units are not the rule's; they load as the market's closes say. A line whose amount or
  value is no number is quarantined; what a cover page says unreadably is null and named in the filing's `problems`,
  and a filing without a readable CIK or day is left out and named in the log of `stage`. `cusips_mapped` shows
  what has no security: `closingbell override add map_cusip '{"cusip": "037833100", "security_id": 320193001,
  "valid_from": "2020-01-01"}' --reason "..."`; the next run maps its lines (*Full*, where they had another security).
- Any task *deferred*: its log says for what; it goes on by itself, and no try is used up.

**Run it again, backfill**: clear the failed task, or trigger it with *Quarters* or *Quarters to backfill*; *Full* loads
again what is here. Repeating changes nothing that is already right.
After a parser fix no vendor is needed: `closingbell replay institutional_holdings`, then `closingbell replay
institutional_ownership` (the next run also makes what newly published filings touch).
"""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable

from closingbell.orchestration import notify, params
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag
from closingbell.orchestration.groups import load_group
from closingbell.orchestration.pod_operator import Resources
from closingbell.settings import settings

PARAMS = {
    **params.quarters(),
    "full": params.full("Load data sets again that are here already."),
    "dry_run": params.dry_run(),
}

with DAG(
    "institutional_holdings",
    description="Form 13F: holdings of institutions, and ownership as known at each close",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 6 * * TUE-SAT", timezone="America/New_York"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.INSTITUTIONS.value],
    on_failure_callback=notify.run_failed,
):
    heavy = Resources(settings().institutions_cpu, settings().institutions_memory)
    hours = settings().institutions_hours

    cusips = load_group("cusips", pool="sec_edgar")
    holdings = load_group("institutional_holdings", pool="sec_edgar", hours=hours, stage_in=heavy)
    ownership = load_group("institutional_ownership", hours=hours, stage_in=heavy)

    cusips >> holdings >> ownership
