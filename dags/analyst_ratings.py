"""
### analyst_ratings: analysts' ratings, targets and their consensus

Owner: closing-bell. Monday to Friday 08:00 New York, before the open and so the last before that day's scores, and on
demand: Benzinga's calendar of ratings, S&P 500 members first, then those asked longest ago, 50 tickers a request, 500
requests a day. An empty table begins with twelve months of the S&P 500. Then the consensus of each session that new
ratings speak of, as known at its close.

**When it fails**
- `open`, `land`: 401 or 403: the key of the connection *benzinga*, or its plan. 429 and 5xx are retried. Without any
  key the run is green and empty, and the log says so.
- `open` or `land` *deferred*: the day's requests are spent; it goes on by itself when they reset. Nothing is published
  in between. Where some were left, they went to the most urgent, and *Loads* shows `nothing_deferred` with the rest.
- `stage`: "column ... is unknown" or "missing": Benzinga changed its answer, the parser must follow; then clear.
- `audit`: quarantined rows of rule `unknown_word` name a firm's word that nobody has read yet: look up what it means,
  add it to `include/closingbell/ratings/words.toml`, and run `closingbell replay analyst_ratings`. A few keep nobody
  back; `quarantined_share` stops where many are refused: Benzinga changed its answer.
- `analyst_consensus`: clear it; it makes the same sessions again.

**Run it again**: clear the failed task, or trigger it: only what changed is asked for. Another window: *Months*. What
Benzinga corrects or removes replaces the row; the old one stays in `ops.revisions`, and past sessions keep what they
knew.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable

from closingbell.orchestration import notify, params
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag
from closingbell.orchestration.groups import load_group, whole_load
from closingbell.orchestration.waiting import waiting_task

PARAMS = {
    "tickers": params.tickers(),
    "sp500": params.sp500(),
    "limit": params.limit(),
    "months": params.months(),
    "full": params.full("Ask for twelve months of every stock again, not only for what changed."),
    "dry_run": params.dry_run(),
}

with DAG(
    "analyst_ratings",
    description="Analysts' ratings, price targets and their consensus",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 8 * * MON-FRI", timezone="America/New_York"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.RATINGS.value],
    on_failure_callback=notify.run_failed,
):
    ratings = load_group("analyst_ratings", pool="benzinga")
    consensus = waiting_task(task_id="analyst_consensus")(whole_load)("analyst_consensus", by_session=False)

    ratings >> consensus
