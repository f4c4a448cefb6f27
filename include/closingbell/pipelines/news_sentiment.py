"""Articles -> news_sentiment (what vendors and our model think of them), and from it sentiment_daily of each session.

The model is FinBERT where CLOSINGBELL_FINBERT names its directory, else Gemini where its connection has a key, else the
lexicon; or the one that is asked for. Each article is scored once by a model's version. Gemini's answers are landed as
any vendor's, as many as its quota gives, the newest articles first; one whose answer cannot be read, or was refused, is
asked about again by the next runs, TRIES times in all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import polars as pl

from closingbell.connections import ConnectionMissing, configured, resolve
from closingbell.hooks import open_hook
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import RateLimited, VendorError
from closingbell.news import analyst, compute, lexicon
from closingbell.pipelines import base
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.pipelines.scores import nothing_to_land, replay_sessions
from closingbell.sessions import close_of, latest_session, sessions_between
from closingbell.settings import settings
from closingbell.warehouse import db, failures
from closingbell.warehouse.quota import QuotaExhausted

log = logging.getLogger(__name__)

ARTICLES_PER_BATCH = 2000
SESSIONS_PER_BATCH = 20
MODELS = ("auto", "finbert", "gemini", "lexicon")
TRIES = 3
WINDOW = timedelta(days=30)
SENTIMENT: dict[str, Any] = {
    "article_id": pl.Int64,
    "security_id": pl.Int64,
    "model": pl.String,
    "model_version": pl.String,
    "score": pl.Float64,
    "relevance": pl.Float64,
    "impact": pl.Float64,
    "known_at": pl.Datetime("us", "UTC"),
    "landing_id": pl.Int64,
}


def chosen_model(asked: str | None) -> str:
    """finbert, gemini or lexicon; raises ValueError or ConnectionMissing where what is asked for is not configured."""
    asked = asked or "auto"
    if asked not in MODELS:
        raise ValueError(f"news: no model {asked!r}; there are {', '.join(MODELS)}")
    if asked == "finbert" and not settings().finbert:
        raise ValueError("news: the model finbert needs CLOSINGBELL_FINBERT, the directory that holds it")
    if asked == "gemini" and not configured("gemini"):
        raise ConnectionMissing("news: the model gemini needs the connection gemini with a key, or GOOGLE_API_KEY")
    if asked != "auto":
        return asked
    if settings().finbert:
        return "finbert"
    return "gemini" if configured("gemini") else "lexicon"


def plan(run: Run) -> list[Batch]:
    """Batches of articles that wait for scores, by publication; Gemini is asked about the newest first."""
    model = chosen_model(run.params.get("model"))
    new = _new(run, "news_members", reader="news_sentiment")
    found = db.query(
        run.engine,
        "news_due",
        model=model,
        version=_version(model),
        ask=model == "gemini",
        tries=TRIES,
        staged=new["since"],
        since=_now(run) - timedelta(days=max(int(run.params.get("backfill") or 0), WINDOW.days)),
        all=bool(run.params.get("full")),
    )["article_id"].to_list()
    if model == "gemini":
        tried = failures.pending(run.engine, "gemini", "generate_content", tries=TRIES)
        found.reverse()  # the newest first: the day's requests may not suffice for all
        found = list(dict.fromkeys([*found, *(int(key.partition(":")[0]) for key in tried)]))
    log.info("news: %d articles wait for %s", len(found), model)
    return [
        {"key": f"{model} {number}: {part[0]}", "model": model, "articles": part, "upto": new["upto"]}
        for number, part in enumerate(base.chunks(found, ARTICLES_PER_BATCH), 1)
    ]


def land(run: Run, batch: Batch) -> Batch:
    """Gemini's answer to each article that it has not answered; nothing for a model of this machine."""
    if batch["model"] != "gemini" or "landing_ids" in batch:
        return batch
    mentions = db.query(run.engine, "news_mentions_of", ids=batch["articles"]).filter(
        pl.col("ticker").str.contains(f"^(?:{analyst.TICKER.pattern})$") & ~pl.col("url").str.starts_with("fnspid:")
    )
    told = {row["article_id"]: row for row in mentions.iter_rows(named=True)}
    version = _version("gemini")
    texts = {f"{id_}:{version}": told[id_] for id_ in batch["articles"] if id_ in told}
    tickers = mentions.group_by("article_id").agg(pl.col("ticker").sort().head(analyst.MOST_TICKERS))
    of = dict(tickers.iter_rows())
    failed = set(failures.pending(run.engine, "gemini", "generate_content"))
    tries = None if run.params.get("full") else TRIES
    again = set(failures.pending(run.engine, "gemini", "generate_content", tries=tries))
    found = run.landing.latest("gemini", "generate_content", list(texts))
    landed = {key: id_ for key, id_ in found.items() if key not in failed}
    absent = [key for key in texts if key in again or key not in failed | landed.keys()]
    with closing(open_hook("gemini", run.engine)) as hook:

        def ask(key: str) -> Answer:
            row = texts[key]
            body = analyst.request(title=row["title"], text=row["summary"], tickers=of[row["article_id"]])
            return hook.generate_content(body, key)

        for part in base.chunks(absent, 20):
            try:
                base.land_each(run, "generate_content", "gemini", part, ask, resolve=False)
            except (QuotaExhausted, RateLimited) as error:
                log.warning("%s; the articles that are left are asked about by the next run", error)
                break
            except VendorError as error:
                if error.concerns_all:
                    raise
                log.warning("%s; it is not asked on", error)
                break
    # those that came before a budget's end are here too
    asked = run.landing.latest("gemini", "generate_content", absent)
    landed |= {key: id_ for key, id_ in asked.items() if id_ != found.get(key)}
    return batch | {"landing_ids": sorted(landed.values())}


def frames(run: Run, landed: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """news_sentiment of one batch: the vendors' opinions, and the model's of what it has not scored."""
    ids, model = landed["articles"], landed["model"]
    mentions = db.query(run.engine, "news_mentions_of", ids=ids)
    vendors = db.query(run.engine, "news_opinions_of", ids=ids).with_columns(impact=pl.lit(None, pl.Float64))
    stored = db.query(run.engine, "news_scored", ids=ids, models=list(MODELS[1:])).join(
        mentions.select("article_id", "security_id"), on=["article_id", "security_id"]
    )  # what is scored stays
    parts = [vendors, _judged(run, landed, mentions)]
    if model != "gemini":
        same = stored.filter(model=model, model_version=_version(model))
        parts.append(_scored(model, mentions.join(same, on=["article_id", "security_id"], how="anti")))
    rows = [part.select(pl.col(name).cast(dtype) for name, dtype in SENTIMENT.items()) for part in (*parts, stored)]
    yield (
        "news_sentiment",
        pl.concat(rows).unique(["article_id", "security_id", "model"], keep="first", maintain_order=True),
    )


def replay(run: Run) -> list[Batch]:
    """Every article that names a security, by the model of the settings and by Gemini's answers, the newest first."""
    found = db.query(
        run.engine, "news_due", model="", version="", ask=False, tries=0, staged=None, since=datetime.now(UTC),
        all=True,
    )["article_id"].to_list()  # fmt: skip
    answers: dict[int, list[int]] = {}
    for key, landing_id in run.landing.latest("gemini", "generate_content").items():
        answers.setdefault(int(key.partition(":")[0]), []).append(landing_id)
    return [
        {
            "key": f"{number}: {part[0]}",
            "model": chosen_model(None),
            "articles": part,
            "landing_ids": sorted((id_ for article in part for id_ in answers.get(article, ())), reverse=True),
        }
        for number, part in enumerate(base.chunks(found, ARTICLES_PER_BATCH), 1)
    ]


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """Up to which publication copies are read; the next run begins there."""
    return {"news_sentiment": {"upto": batches[0]["upto"]}} if batches else {}


LOAD = Load(
    name="news_sentiment",
    tables=("news_sentiment",),
    plan=plan,
    land=land,
    frames=frames,
    replay=replay,
    expected=expected,
)


# -- what a day knew --


def plan_daily(run: Run) -> list[Batch]:
    """The sessions that new scores reach, and those from the last one with moods to the last one that closed."""
    last = latest_session(_now(run))
    if ends := settings().market_ends_on:
        last = min(last, ends)
    have = db.query(run.engine, "sessions_of_sentiment_daily")["session"].to_list()
    sessions = {last, *(sessions_between(have[-1], last) if have and have[-1] <= last else [])}
    new = _new(run, "news_sentiment", reader="sentiment_daily")
    for day in db.query(run.engine, "news_days_scored", since=new["since"])["day"]:
        if day <= last:
            sessions.update(sessions_between(day, min(day + WINDOW + timedelta(days=1), last)))
    return [
        {"key": f"{part[0]}..{part[-1]}", "sessions": [day.isoformat() for day in part], "upto": new["upto"]}
        for part in base.chunks(sorted(sessions), SESSIONS_PER_BATCH)
    ]


def daily_frames(run: Run, batch: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """sentiment_daily of the batch's sessions, each as known at its close."""
    sessions = [date.fromisoformat(day) for day in batch["sessions"]]
    closes = {session: close_of(session) for session in sessions}
    first, last = min(closes.values()) - WINDOW, max(closes.values())
    scores = db.query(run.engine, "news_scores_between", first=first, last=last, ours=list(MODELS[1:]))
    weights, model = settings().news_weights, chosen_model(None)
    found = [
        compute.sentiment(scores, known_at=close, day=session, model=model, weights=weights).with_columns(
            known_at=pl.lit(close)
        )
        for session, close in closes.items()
    ]
    yield "sentiment_daily", pl.concat(found).rename({"day": "session"})


def expected_daily(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """The sessions computed: rows of them that are no longer computed go; up to which publication scores are read."""
    sessions = [day for batch in batches for day in batch["sessions"]]
    return {"sentiment_daily": {"sessions": sessions, "upto": batches[0]["upto"]}}


DAILY_LOAD = Load(
    name="sentiment_daily",
    tables=("sentiment_daily",),
    plan=plan_daily,
    land=nothing_to_land,
    frames=daily_frames,
    replay=replay_sessions("sentiment_daily"),
    expected=expected_daily,
)


def _now(run: Run) -> datetime:
    """The vendors' clock when they were asked last; our own before they were."""
    return db.query(run.engine, "news_now")["now"][0] or datetime.now(UTC)


def _new(run: Run, table: str, *, reader: str) -> dict[str, Any]:
    """Since when rows of the table were staged that the reader has not read; up to which publication it reads now."""
    return db.query(run.engine, "staged_since", dataset=table, reader=reader).row(0, named=True)


def _version(model: str) -> str:
    if model == "gemini":
        return f"{resolve('gemini').extra.get('model') or analyst.MODEL}+{analyst.PROMPT_VERSION}"
    return lexicon.VERSION if model == "lexicon" else _finbert().version


@lru_cache(maxsize=1)
def _opened(folder: str) -> Any:
    from pathlib import Path

    from closingbell.news import models

    return models.open_model(Path(folder))


def _finbert() -> Any:
    return _opened(str(settings().finbert))


def _scored(model: str, mentions: pl.DataFrame) -> pl.DataFrame:
    """A text's score for each security that it names; a data set's day without a text has none."""
    told = mentions.filter(~pl.col("url").str.starts_with("fnspid:"))
    texts = told.unique("article_id", maintain_order=True).select(
        "article_id", text=pl.concat_str("title", "summary", separator=". ", ignore_nulls=True)
    )
    score: Callable[[list[str]], list[float]] = lexicon.scores if model == "lexicon" else _finbert().scores
    values = score(texts["text"].to_list()) if texts.height else []
    return told.join(texts.with_columns(pl.Series("score", values, pl.Float64)), on="article_id").select(
        "article_id",
        "security_id",
        "score",
        model=pl.lit(model),
        model_version=pl.lit(_version(model)),
        relevance=pl.lit(None, pl.Float64),
        impact=pl.lit(None, pl.Float64),
        known_at="known_at",
        landing_id=pl.lit(None, pl.Int64),
    )


def _judged(run: Run, landed: Batch, mentions: pl.DataFrame) -> pl.DataFrame:
    """Gemini's opinions that pass, by security; what is dropped is counted."""
    by_article = {id_: of for (id_,), of in mentions.group_by("article_id")}
    rows: list[dict[str, Any]] = []
    dropped: dict[str, int] = {}

    def judge(answer: Any) -> tuple[analyst.Judged, str, pl.DataFrame]:
        of = by_article.get(int(answer.key.partition(":")[0]), mentions.clear())
        text, version = analyst.answer_text(answer.content)
        return analyst.judge(text, tickers=of["ticker"].to_list()), version, of

    answers = run.landing.read_each(landed.get("landing_ids", ()))
    for answer, (judged, version, of) in base.parse_each(run, answers, judge):
        for reason, count in judged.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
        named = {row["ticker"]: row for row in of.iter_rows(named=True)}
        for opinion in judged.opinions:
            row = named[opinion.ticker]
            rows.append(
                {
                    "article_id": row["article_id"],
                    "security_id": row["security_id"],
                    "model": "gemini",
                    "model_version": f"{version or analyst.MODEL}+{analyst.PROMPT_VERSION}",
                    "score": opinion.score,
                    "relevance": opinion.relevance,
                    "impact": opinion.impact,
                    "known_at": row["known_at"],
                    "landing_id": answer.landing_id,
                }
            )
    if any(dropped.values()):
        log.warning("gemini: %d opinions dropped: %s", sum(dropped.values()), dropped)
    return pl.DataFrame(rows, schema=SENTIMENT)
