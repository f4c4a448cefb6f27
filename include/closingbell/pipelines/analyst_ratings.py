"""Analysts' ratings from Benzinga's calendar -> analyst_ratings.

S&P 500 members first, then those asked longest ago, 50 tickers a request, as far as the day's requests go: what was
asked before for its changes since, what is new for twelve months. What does not fit is deferred to the next run and
said so. Only answers that were published count as asked.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from closingbell.connections import configured
from closingbell.hooks import open_hook
from closingbell.hooks.benzinga import MAX_TICKERS, PAGE
from closingbell.landing import Landed
from closingbell.pipelines import base, files
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.prices.compute import map_tickers
from closingbell.ratings import compute, parse
from closingbell.sessions import NEW_YORK
from closingbell.settings import settings
from closingbell.warehouse import db
from closingbell.warehouse.quota import QuotaExhausted

log = logging.getLogger(__name__)

MONTHS = 12
RATINGS_A_YEAR = 45  # of a stock that many firms follow: what a window may take of the day's requests
ENDPOINTS = ("calendar_ratings", "calendar_removed")
FRAME: dict[str, Any] = {**compute.RATINGS, "refused": pl.String}
REMOVED = parse.REMOVED | base.LINEAGE


def plan(run: Run) -> list[Batch]:
    """What Benzinga removed since the last run, then batches of up to 50 tickers within the day's budget."""
    if paths := run.params.get("from_files"):
        ids = [run.landing.put(answer) for answer in files.read_all(paths, endpoints=ENDPOINTS)]
        if not ids:
            raise files.UnknownFile(f"--from-files {' '.join(paths)}: no ratings among them")
        return [{"key": f"{len(ids)} files", "landing_ids": ids, "attach": True}]
    if not configured("benzinga") and not run.by_command:
        log.warning("no ratings are asked for: connection benzinga has no key (BENZINGA_API_KEY, or its password)")
        return []
    state = db.query(run.engine, "ratings_state").row(0, named=True)
    with closing(open_hook("benzinga", run.engine)) as hook:
        removed = list(hook.removed(state["removals_asked_at"]))
        now = removed[0].answered_at if removed else datetime.now(UTC)  # the vendor's clock
        today = now.astimezone(NEW_YORK).date()
        batches, wanted = _batches(run, today, filled=state["filled"])
        batches, deferred = _within_budget(batches, hook.client.quota)
    log.info("ratings: %d securities asked for in %d batches, %d deferred", wanted - deferred, len(batches), deferred)
    ids = [run.landing.put(answer) for answer in reversed(removed)]
    first: Batch = {"key": "removed", "landing_ids": ids, "attach": True}
    if deferred:
        first["deferred"] = deferred
    return [first, *batches]


def land(run: Run, batch: Batch) -> Batch:
    """The batch's pages: all of them, or none where the budget or the vendor ends before the last."""
    if "landing_ids" in batch:
        return batch
    with closing(open_hook("benzinga", run.engine)) as hook:
        pages = list(hook.ratings(batch["tickers"], **_window(batch)))
    # last the first page, which says that its tickers were asked for
    return batch | {"landing_ids": [run.landing.put(page) for page in reversed(pages)]}


def frames(run: Run, landed: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """analyst_ratings of one landed batch; with the first, the stored ratings whose security is known by now."""
    history = db.query(run.engine, "ticker_history")
    found, removed = [pl.DataFrame(schema=parse.SCHEMA | base.LINEAGE)], [pl.DataFrame(schema=REMOVED)]
    for answer, parsed in _parsed(run, landed):
        (removed if answer.endpoint == "calendar_removed" else found).append(base.with_lineage(parsed, answer))
    ratings = _mapped(pl.concat(found).with_columns(removed_at=pl.lit(None, pl.Datetime("us", "UTC"))), history)
    if unmapped := ratings.filter(pl.col("security_id").is_null())["ticker"].drop_nulls().to_list():
        names = ", ".join(sorted(set(unmapped))[:20])
        log.warning("%d ratings are of nobody known on their day: %s", len(unmapped), names)
    if landed.get("attach"):
        stored = db.query(run.engine, "ratings_without_security").with_columns(refused=pl.lit(None, pl.String))
        known_now = _mapped(stored.cast(pl.Schema(ratings.schema)), history).drop_nulls("security_id")
        log.info("ratings: %d get their security now", known_now.height)
        ratings = pl.concat([ratings, known_now])
    refused = ratings["refused"].drop_nulls()
    for said in refused.head(20):
        log.warning("benzinga: %s", said)
    yield "analyst_ratings", _without_removed(run, ratings, pl.concat(removed))


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """How many securities the day's budget left for the next run, which the audit shows."""
    deferred = sum(batch.get("deferred", 0) for batch in batches)
    return {"analyst_ratings": {"deferred": deferred}} if deferred else {}


def replay(run: Run) -> list[Batch]:
    """Every landed answer in one batch: a removal needs the rating that another answer gave."""
    ids = [id_ for endpoint in ENDPOINTS for id_ in run.landing.history("benzinga", endpoint)]
    return [{"key": f"answers {min(ids)}-{max(ids)}", "landing_ids": ids, "replay": True}] if ids else []


LOAD = Load(
    name="analyst_ratings",
    tables=("analyst_ratings",),
    plan=plan,
    land=land,
    frames=frames,
    replay=replay,
    expected=expected,
)


def _batches(run: Run, today: date, *, filled: bool) -> tuple[list[Batch], int]:
    """(batches in the order of their urgency, how many securities are in them)."""
    months = int(run.params.get("months") or MONTHS)
    first = pl.select(pl.lit(today).dt.offset_by(f"-{months}mo")).item()
    rows = db.query(run.engine, "ratings_universe", since=first, today=today)
    if rows.is_empty():
        raise ValueError("analyst_ratings: no security is known; run universe first")
    tickers = run.params.get("tickers") or []
    narrow = tickers or settings().only_tickers
    if narrow:
        named = rows.filter(pl.col("ticker").is_in(narrow))
        if unknown := sorted(set(tickers) - set(named["ticker"])):
            raise ValueError(f"analyst_ratings: {unknown}: no security bears these tickers; run universe first")
        rows = rows.filter(pl.col("security_id").is_in(named["security_id"].implode()))
    only_members = run.params.get("sp500") or not (filled or tickers or run.params.get("limit"))
    if only_members and rows["sp500"].any():
        rows = rows.filter("sp500")
    elif run.params.get("sp500"):
        raise ValueError("analyst_ratings: no member of the S&P 500 is known; run universe first")
    if limit := run.params.get("limit"):
        chosen = rows["security_id"].unique(maintain_order=True).head(int(limit))
        rows = rows.filter(pl.col("security_id").is_in(chosen.implode()))
    rows = rows.unique("ticker", keep="first", maintain_order=True)  # one that two securities bore is asked once
    anew = pl.lit(bool(run.params.get("full") or run.params.get("months")))
    rows = rows.with_columns(
        window=anew | pl.col("asked_at").is_null() | (pl.col("asked_from") > first).fill_null(True)
    )
    batches: list[Batch] = []
    for (_, window), part in rows.group_by("sp500", "window", maintain_order=True):
        for chunk in base.chunks(part.rows(named=True), MAX_TICKERS):
            listed = [row["ticker"] for row in chunk]
            asked: Batch = {"first": first.isoformat(), "last": today.isoformat()}
            if not window:
                asked = {"since": min(row["asked_at"] for row in chunk).isoformat()}
            securities = len({row["security_id"] for row in chunk})
            batches.append({"key": f"{listed[0]}..{listed[-1]}", "tickers": listed, "securities": securities, **asked})
    return batches, sum(batch["securities"] for batch in batches)


def _within_budget(batches: list[Batch], quota: Any) -> tuple[list[Batch], int]:
    """(the batches that the day's requests suffice for, how many securities they leave out).

    Raises QuotaExhausted where there is not one.
    """
    left = quota.left() if quota else {}
    if (budget := left.get("day_left")) is None:
        return batches, 0
    for number, batch in enumerate(batches):
        budget -= _pages_of(batch)
        if budget < 0:
            deferred = sum(rest["securities"] for rest in batches[number:])
            if not number:
                raise QuotaExhausted(
                    left["vendor"], left["key"], left["day_limit"], left["day_used"], left["resets_at"]
                )
            log.warning(
                "deferred to the next run, which asks for them first: %d securities; the day's requests are spent and "
                "reset at %s",
                deferred,
                left["resets_at"],
            )
            return batches[:number], deferred
    return batches, 0


def _pages_of(batch: Batch) -> int:
    """What a batch may take of the day's requests."""
    if "since" in batch:
        return 1
    days = (date.fromisoformat(batch["last"]) - date.fromisoformat(batch["first"])).days
    return math.ceil(len(batch["tickers"]) * RATINGS_A_YEAR * days / 365 / PAGE)


def _window(batch: Batch) -> dict[str, Any]:
    if "since" in batch:
        return {"since": datetime.fromisoformat(batch["since"])}
    return {name: date.fromisoformat(batch[name]) for name in ("first", "last")}


def _parsed(run: Run, landed: Batch) -> Iterator[tuple[Landed, pl.DataFrame]]:
    def read(answer: Landed) -> pl.DataFrame:
        if answer.endpoint == "calendar_removed":
            return parse.parse_removed(answer.content, seen_at=answer.answered_at)
        return parse.parse_ratings(answer.content)

    answers = run.landing.read_each(landed["landing_ids"])
    if landed.get("replay"):
        return base.parse_each(run, answers, read)
    # a page that is not read must not count as asked for: the run stops, and goes on when the parser is mended
    return ((answer, read(answer)) for answer in answers)


def _mapped(ratings: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """The rows with the security that bore the ticker on the New York day of the rating; null where none is known.

    Vendors move ratings to a company's new ticker: where nobody bore it that day, it is the next that did, if that one
    bore another ticker on the day.
    """
    days = pl.col("rated_at").dt.convert_time_zone("America/New_York").dt.date()
    rows = ratings.drop("security_id", strict=False).with_row_index("order_").with_columns(rated_on=days)
    dated = rows.filter(pl.col("rated_on").is_not_null() & pl.col("ticker").is_not_null())
    mapped, unmapped = map_tickers(dated, history, on="rated_on")
    borne = history.filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    renamed = (
        unmapped.sort("rated_on")
        .join_asof(
            borne.select("ticker", "valid_from", "security_id").sort("valid_from"),
            left_on="rated_on", right_on="valid_from", by="ticker", strategy="forward", check_sortedness=False,
        )
        .drop("valid_from")
        .join(borne.select("security_id", "valid_from", "valid_to"), on="security_id")
        .filter(pl.col("rated_on").is_between("valid_from", pl.col("valid_to").fill_null(date.max)))
        .unique("order_")
    )  # fmt: skip
    securities = pl.concat([part.select("order_", "security_id") for part in (mapped, renamed)])
    return rows.join(securities, on="order_", how="left").sort("order_").select([*FRAME, *base.LINEAGE])


def _without_removed(run: Run, ratings: pl.DataFrame, removed: pl.DataFrame) -> pl.DataFrame:
    """The ratings, and those that Benzinga removed after their last change, marked; unknown ones are nobody's loss."""
    if removed.is_empty():
        return ratings
    ratings = ratings.sort("fetched_at", "landing_id")
    given = ratings.filter(pl.col("refused").is_null()).unique("rating_id", keep="last", maintain_order=True)
    ids = removed.join(given, on="rating_id", how="anti")["rating_id"].unique().to_list()
    stored = db.query(run.engine, "ratings_by_id", ids=ids).cast(pl.Schema(compute.RATINGS))
    known = pl.concat([given.select(list(compute.RATINGS)), stored.select(list(compute.RATINGS))])
    marked = (
        known.rename({"removed_at": "removed_before"})
        .join(removed, on="rating_id")
        .filter(pl.col("updated_at") <= pl.col("removed_at"))
        .sort(
            "removed_at", "fetched_at", "landing_id"
        )  # a removal without a time is told anew each time it is asked for
        .unique("rating_id", keep="first", maintain_order=True)
        .with_columns(removed_at=pl.min_horizontal("removed_before", "removed_at"), refused=pl.lit(None, pl.String))
        .select(ratings.columns)
    )
    log.info("benzinga removed %d ratings, %d of them ours", removed["rating_id"].n_unique(), marked.height)
    return pl.concat([ratings.join(marked, on="rating_id", how="anti"), marked])
