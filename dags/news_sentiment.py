"""
### news_sentiment: news, what it means for each stock, and each session's mood

Owner: closing-bell. Every four hours (`CLOSINGBELL_NEWS_HOURS`), counted so that one run is 15 minutes after the close
(13:15 New York where a session closes early), before that session's scores. Polygon, Marketaux and Tiingo where they
have a key, and the web pages of `include/closingbell/news/sources.toml`. An empty table begins with 30 days.

**Tasks**: `news` lands and publishes each vendor's copies; `news_articles` makes one article of one story's copies;
`score` (a pod) scores what no run has scored, by FinBERT, Gemini or the lexicon: the first that is configured;
`sentiment_daily` makes the moods of the sessions that new scores reach.

**When it fails**
- `open`: "no stream": make a connection (`.env.example` names the keys), then clear.
- `land`: 401: correct the connection, then clear. A plan without news (403) is an error in the log; the others go on.
  A day's budget spent: the windows that are left are asked for by the next run. 429 and 5xx are retried.
- A vendor's answer that changed ("column ... is unknown") or a web page that did, or that robots.txt forbids: the
  warning `streams_read` on the run's page *Loads* names the stream and has the error; the others went on. A vendor's
  parser must follow; correct a page's entry in `sources.toml`, or take it out. The next run asks for the same time
  again, and the warning goes with the first answer that is read. Where it is the only stream, `land` fails. A file of
  `--from-files` that does not parse is in the same warning, of its own run: give it again.
- `score`: its log ends with the command's error. FinBERT out of memory: raise `CLOSINGBELL_NEWS_MEMORY`. Gemini's
  budget spent, or 429: the articles that are left wait for the next run. One that it refuses or answers unreadably is
  asked about three times; the Param *full* asks again.
- `audit`: what is quarantined is on the run's page, with the reason (a copy without a title, a vendor's mood that is no
  number). A few keep nobody back; `quarantined_share` stops where many are: the vendor changed its answer.

**Run it again, backfill**: clear the failed task, or trigger it: *Hours* or *Days to backfill* is the window, *Tickers*
asks for these alone. Each article is scored once by a model's version; repeating changes nothing that is right.
After a parser fix no vendor is needed: `closingbell replay news_sightings`. After it, and where the rule that unites
copies changed: `closingbell replay news_articles`, which unites every copy anew (what an older rule took for one story
may be two), then `closingbell replay news_sentiment` and `closingbell replay sentiment_daily`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from closingbell.orchestration import notify, params
from closingbell.orchestration.defaults import DEFAULT_ARGS, Tag
from closingbell.orchestration.groups import load_group, whole_load
from closingbell.orchestration.pod_operator import PipelinePodOperator
from closingbell.orchestration.timetables import EveryHoursTimetable
from closingbell.orchestration.waiting import waiting_task
from closingbell.settings import settings

PARAMS = {
    "tickers": params.tickers(),
    **params.news(),
    "full": params.full("Ask for the last 30 days again, and score every article that has no score of the model."),
    "dry_run": params.dry_run(),
}

with DAG(
    "news_sentiment",
    description="News of vendors and web pages, their sentiment, and each session's mood",
    doc_md=__doc__,
    schedule=EveryHoursTimetable(settings().news_hours, settings().market_ends_on),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[Tag.NEWS.value],
    on_failure_callback=notify.run_failed,
):
    news = load_group("news", pool="news")
    articles = waiting_task(task_id="news_articles")(whole_load)("news_articles", by_session=False)
    score = PipelinePodOperator(
        task_id="score",
        arguments=[
            "news-score",
            "--model={{ params.model }}",
            "--backfill={{ params.backfill or 0 }}",
            "{{ '--full' if params.full else '--new' }}",
        ],
        load="news_sentiment",
        connections=["gemini"],
        cpu=settings().news_cpu,
        memory=settings().news_memory,
        execution_timeout=timedelta(hours=3),
    )
    daily = waiting_task(task_id="sentiment_daily")(whole_load)("sentiment_daily", by_session=False)

    news >> articles >> score >> daily
