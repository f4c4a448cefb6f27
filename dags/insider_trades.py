"""
### insider_trades: Forms 3, 4 and 5 of insiders, and what they bought on the open market

Owner: closing-bell. Every hour while New York trades, half an hour after the close, and at 22:30 New York, when EDGAR
has closed: new filings of the feed (Form 4), and of the day's index (all forms, and what the feed missed). A table
fills itself with 90 days first, some hours at SEC's eight requests a second.

**Tasks**: `insider_trades` lands and publishes documents; `insider_activity` marks the lines that amendments restate
and makes the sums of 30 and 90 days for each session.

**When it fails**
- `open`: the feed or an index is not of its shape: the message names it; SEC changed it, the parser must follow.
- `land`: SEC's throttle page: everybody waits ten minutes, the task retries. Single documents that fail do not fail
  the batch: they stand on the run's page *Loads* and are asked for by the next run.
- `audit`: `documents_readable`: many documents were refused, which one alone never stops: read the reasons among the
  quarantined rows of the page *Loads*. `documents_landed` (a warning) lists filings whose document did not come,
  `amendments_matched` (a warning) new amendments that restate no line that is here: where the original is older than
  what is loaded, *Days to backfill* brings it; else an amendment that changed too much to be matched stands beside it.
- `insider_activity`: nothing is asked of SEC: mend what the log says and clear it; no row is lost meanwhile.
- Any task *deferred*: its log says for what; it goes on by itself, and no try is used up.

**Run it again, backfill**: clear the failed task, or trigger it. *Days to backfill* reads the indexes of
so many days again: only documents that are not here are asked for, and nothing that is right changes. *Hours* reads so
much of the feed.
After a parser fix no vendor is needed: `closingbell replay insider_trades`, then `closingbell replay insider_activity`.
"""

from __future__ import annotations

from airflow.sdk import DAG

from closingbell.orchestration import notify, params
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag
from closingbell.orchestration.groups import load_group, whole_load
from closingbell.orchestration.timetables import XNYSHoursTimetable
from closingbell.orchestration.waiting import waiting_task
from closingbell.settings import settings

PARAMS = {
    **params.insiders(),
    "tickers": params.tickers(),
    "dry_run": params.dry_run(),
}

with DAG(
    "insider_trades",
    description="Insiders' trades from EDGAR's ownership filings, and net open-market buying",
    doc_md=__doc__,
    schedule=XNYSHoursTimetable(market_ends_on=settings().market_ends_on),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.INSIDERS.value],
    on_failure_callback=notify.run_failed,
):
    trades = load_group("insider_trades", pool="sec_edgar", hours=12)
    activity = waiting_task(task_id="insider_activity")(whole_load)("insider_activity", by_session=False)
    trades >> activity
