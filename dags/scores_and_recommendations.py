"""
### scores_and_recommendations: every stock's score of one session

Owner: closing-bell. Started by `session_closed` for the same session; reads everything else as known at that close.
Publishes `ic_scores` (overall, factors, rating, completeness, rank) and `score_inputs` (what each number came from).

**When it fails**
- `scores.open`: "no New York session", "has not closed yet": trigger it again with other days. "no prices of":
  run `market_close` for that session first. *deferred*: another run scores that session; it goes on by itself.
- `scores.audit`: read the failed expectation on the run's page *Loads*. Too few scored stocks usually means that
  `market_close` or `sec_financials` published too little; correct that, then clear `scores.open` with what follows it.
- Late without a failure: *Why is today's board late* in the navigation names the missing step.

**Run it again, backfill**: trigger it: *Session* alone is one session, with *Last session* a range in one run, both
empty the last session that closed. With prices and indicators too: backfill `market_close`, which starts the scores of
each of its sessions. *Tickers* narrows what is published; peers are the whole universe always. Repeating changes
nothing that is already right.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable

from closingbell.orchestration import notify, params
from closingbell.orchestration.asset import SESSION_CLOSED
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag, scores_deadline
from closingbell.orchestration.groups import load_group

PARAMS = {
    **params.sessions(),
    "tickers": params.tickers(),
    "dry_run": params.dry_run(),
}

with DAG(
    "scores_and_recommendations",
    description="Scores 1 to 100 of one session, with their evidence",
    doc_md=__doc__,
    schedule=PartitionedAssetTimetable(assets=SESSION_CLOSED),
    catchup=False,
    is_paused_upon_creation=False,  # while it is paused its events are lost for good
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.SESSION.value, Tag.SCORES.value],
    deadline=scores_deadline(),
    on_failure_callback=notify.run_failed,
):
    load_group("scores", by_session=True)
