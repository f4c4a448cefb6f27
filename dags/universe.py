"""
### universe: companies, securities, tickers and index members

Owner: closing-bell. Saturdays 12:00 UTC and on demand: SEC's ticker list and submissions, the price vendor's tickers
where a key exists, S&P 500 members, the Fortune 500 file, or your own `stocks` table.

**When it fails**
- `open`, `land`: a missing contact or key: set it (`.env.example` says where), then clear. 429 and 5xx are retried.
- `stage`: "fortune500": the file's first line must name `rank` and `name`; what is missing is listed.
- `audit`: read the failed expectation on the run's page *Loads*. Fewer securities than last week usually means that a
  vendor's list was cut: clear `open` with what follows it. So does `members_stay`, of the S&P 500 list.
- The log of `stage` has every row of the Fortune 500 file and of the S&P 500 that nothing matches, and missing ranks.

**Only some stocks**: the Param `tickers` for one run, `CLOSINGBELL_TICKERS` for every one.

**Run it again**: clear the run, or trigger it. Rows are dated: nothing that was known before is lost.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable

from closingbell.orchestration import notify, params
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag
from closingbell.orchestration.groups import load_group

PARAMS = {
    "source": params.universe_source(),
    "tickers": params.tickers(),
    "full": params.full("Ask for the ticker events of every share again, not only of new ones."),
    "dry_run": params.dry_run(),
}

with DAG(
    "universe",
    description="Companies, securities, ticker history, sectors and index members",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 12 * * SAT", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.REFERENCE.value],
    on_failure_callback=notify.run_failed,
):
    load_group("universe", pool="sec_edgar", hours=6)
