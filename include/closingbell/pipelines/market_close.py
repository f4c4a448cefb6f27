"""Daily bars and corporate actions of a session, with the history that is missing -> stock_prices, corporate_actions.

One request a session where the vendor has one (Polygon's grouped daily); `ticker_vendors` has those that are asked by
ticker (Tiingo, Yahoo). What is landed and final is not asked again, but for an answer without a bar: two of them stand.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from closingbell.hooks import open_hook
from closingbell.hooks.errors import NotFound, NotYet
from closingbell.pipelines import base, files, ticker_vendors
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.pipelines.price_answers import is_final, parse_answer
from closingbell.pipelines.scores import only_asked_for
from closingbell.prices import compute, parse
from closingbell.sessions import NEW_YORK, last_sessions, latest_session
from closingbell.settings import settings
from closingbell.warehouse import db, failures

log = logging.getLogger(__name__)

TABLES = ("corporate_actions", "stock_prices")
SESSIONS_PER_BATCH = 50
FILES_PER_BATCH = 50
GAP_SESSIONS = 20  # sessions a run in which a listed share has no bar and that are asked for once more
PAGED = ("splits", "dividends")  # their keys end with the page
SPLIT_DAYS = 2500  # before a session: as far back as growth's earnings a share may stand, see score_financials.sql
ANNOUNCED_DAYS = 45  # splits and dividends are declared ahead of their ex-date
COMPLETE_SHARE = 0.95  # of the bars that the session before had
HISTORY_SHARE = 0.5  # of the shares that traded before, in a session that only comes with the one asked for
RECENT_SESSIONS = 20  # before those asked for; history before them is old
THIN_SHARE = 0.02  # of the old sessions: so many may have less than HISTORY_SHARE
FILE_ENDPOINTS = (
    "bars_csv", "grouped_daily", "day_aggregates", "daily_prices", "daily_all", "chart", "splits", "dividends",
)  # fmt: skip


def plan(run: Run) -> list[Batch]:
    """Batches of sessions or of tickers; the newest session always, older ones where bars are missing."""
    if paths := run.params.get("from_files"):
        ids = [run.landing.put(answer) for answer in files.read_all(paths, endpoints=FILE_ENDPOINTS)]
        if not ids:
            raise files.UnknownFile(f"--from-files {' '.join(paths)}: no daily bars among them")
        parts = [ids[start : start + FILES_PER_BATCH] for start in range(0, len(ids), FILES_PER_BATCH)]
        return [{"key": f"files {part[0]}-{part[-1]}", "landing_ids": part} for part in parts]
    asked = run.sessions
    if settings().price_vendor != "polygon":
        return ticker_vendors.plan(run, asked)
    window = ticker_vendors.window_of(asked)
    full = bool(run.params.get("full"))
    have = db.query(run.engine, "bars_by_session", first=window[0], last=window[-1])
    stored = set() if full else set(have["session"])
    missing = [day for day in window if day not in stored or day in asked]
    new = [] if full else _new_securities(run, window)
    again = [] if full else _gaps(run, [day for day in window if day in stored and day not in asked])
    if not full and (blank := _blank_and_read(run, [day for day in missing if day not in asked])):
        unread = blank.intersection(failures.pending(run.engine, "polygon", "grouped_daily"))
        open_ = unread | (blank - _settled(run, blank))
        missing = [day for day in missing if day.isoformat() not in blank - open_]
        again += [day for day in missing if day.isoformat() in open_]
    missing = sorted({*missing, *again})
    batches: list[Batch] = [
        {
            "key": f"{part[0]}" if len(part) == 1 else f"{part[0]}..{part[-1]}",
            "sessions": [day.isoformat() for day in part],
            "again": [day.isoformat() for day in part if day in again],
        }
        for part in base.chunks(missing, SESSIONS_PER_BATCH)
    ]
    first = window[0] if len(missing) > len(asked) + len(again) or new else asked[0] - timedelta(days=ANNOUNCED_DAYS)
    batches[-1]["actions"] = [first.isoformat(), (asked[-1] + timedelta(days=ANNOUNCED_DAYS)).isoformat()]
    # earlier splits are asked for once; again for a new security, whose splits were nobody's when they were read
    since = asked[0] - timedelta(days=SPLIT_DAYS)
    if not (full or new):
        since = db.query(run.engine, "splits_asked_to", first=since, last=asked[-1])["day"][0]
    batches[-1]["splits_from"] = min(first, since).isoformat()
    if new:
        rest = [day for day in window if day in stored and day not in asked]
        batches += [
            {"key": f"new {part[0]}..{part[-1]}", "sessions": [d.isoformat() for d in part], "securities": new}
            for part in base.chunks(rest, SESSIONS_PER_BATCH)
        ]
    return batches


def land(run: Run, batch: Batch) -> Batch:
    """The batch's answers: those landed and final, and those the vendor is asked for."""
    if "landing_ids" in batch:
        return batch
    vendor = settings().price_vendor
    with closing(open_hook(vendor, run.engine)) as hook:
        if batch.get("tickers"):
            return batch | {"landing_ids": ticker_vendors.land(run, hook, batch)}
        here = db.query(run.engine, "landed_bars", vendor=vendor, endpoint="grouped_daily", keys=batch["sessions"])
        landed = {
            key: landing_id
            for key, landing_id, answered_at in here.iter_rows()
            if is_final(date.fromisoformat(key), answered_at)
            and not run.params.get("full")
            and key not in batch.get("again", ())
        }
        once = landed.keys() - _settled(run, landed)
        for key in _blank(run, {key: landed[key] for key in once}):
            del landed[key]
        absent = [day for day in batch["sessions"] if day not in landed]
        landed |= base.land_each(
            run, "grouped_daily", vendor, absent, lambda key: hook.grouped_daily(date.fromisoformat(key))
        )
        actions: list[int] = []
        if window := batch.get("actions"):
            first, last = map(date.fromisoformat, window)
            splits_from = date.fromisoformat(batch.get("splits_from", window[0]))
            asking = (hook.splits(splits_from, last), hook.dividends(first, last))
            actions = [run.landing.put(answer) for answers in asking for answer in answers]
    return batch | {"landing_ids": [*actions, *(landed[key] for key in sorted(landed))]}


def frames(run: Run, landed: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """corporate_actions and stock_prices of one landed batch."""
    history = db.query(run.engine, "ticker_history")
    bars: list[pl.DataFrame] = []
    actions: dict[str, pl.DataFrame] = {}
    unmapped: set[str] = set()
    answers = run.landing.read_each(landed["landing_ids"])
    for answer, parsed in base.parse_each(run, answers, parse_answer):
        mapped = compute.stock_prices(parsed.bars, history, final=False)
        unmapped |= set(mapped.unmapped["ticker"])
        closed = pl.col("session") <= latest_session(answer.answered_at)  # a running session's bar is no bar yet
        rows = mapped.rows.filter(closed).with_columns(final=_final(answer.answered_at))
        bars.append(base.with_lineage(rows, answer))
        question = answer.key.rpartition(":")[0] if answer.endpoint in PAGED else answer.key
        named = base.with_lineage(parsed.actions, answer).with_columns(question=pl.lit(f"{answer.endpoint} {question}"))
        actions[f"{answer.endpoint} {answer.key}"] = named  # asked again, only the later answer counts
        _say(parsed.problems, mapped.problems)
    stock_prices = _latest(bars, compute.STOCK_PRICES, ["security_id", "session"])
    if securities := landed.get("securities"):
        stock_prices = stock_prices.filter(pl.col("security_id").is_in(securities))
    if tickers := run.params.get("tickers"):
        wanted = history.filter(pl.col("ticker").is_in(tickers))["security_id"].unique()
        stock_prices = stock_prices.filter(pl.col("security_id").is_in(wanted.implode()))
    elif run.params.get("limit"):
        stock_prices = only_asked_for(run, stock_prices)
    log.info("prices: %d bars; %d tickers of nobody in the universe are left out", stock_prices.height, len(unmapped))
    corporate_actions = _actions(run, list(actions.values()), history, stock_prices)
    _overlap(run, stock_prices, corporate_actions)
    yield "corporate_actions", corporate_actions
    yield "stock_prices", stock_prices


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """Of every session the shares that traded on the one before it; see audit_sessions_complete.sql.

    Of history half of them: vendors' archives have thin days. A few old sessions with fewer, or with none, are a
    warning, and asked for again by the next run, of which they need nothing. Where nothing is stored before it, the
    first session of history is measured by the one that was asked for. What two final answers lack stands: such a
    session needs one bar.
    """
    if run.params.get("tickers") or run.params.get("limit"):
        return {}
    if settings().price_vendor != "polygon":
        return ticker_vendors.expected(run, batches)
    days = sorted({day for batch in batches if "securities" not in batch for day in batch.get("sessions", ())})
    if not days:
        return {}
    new = sorted({security_id for batch in batches for security_id in batch.get("securities", ())})
    sessions, settled = [date.fromisoformat(day) for day in days], _settled(run, days)
    before = [last_sessions(session, 2)[0] for session in sessions]
    stored = set(db.query(run.engine, "bars_by_session", first=before[0], last=sessions[-1])["session"])
    if before[0] not in stored:
        before[0] = max(run.sessions[0], before[0])
    old_before = last_sessions(run.sessions[0], RECENT_SESSIONS + 1)[0]
    old = {session for session in sessions if session < old_before}
    again = {date.fromisoformat(day) for batch in batches for day in batch.get("again", ())}
    shares = dict.fromkeys(sessions, HISTORY_SHARE) | dict.fromkeys(old & (stored | again), 0.0)
    wanted: dict[str, Any] = {
        "sessions": days,
        "traded_on": [None if day in settled else other.isoformat() for day, other in zip(days, before, strict=True)],
        "min_shares": [None if session in run.sessions else shares[session] for session in sessions],
        "old_before": old_before.isoformat(),
        "thin_days": int(THIN_SHARE * len(old)),
    }
    return {"stock_prices": wanted | ({"new": new} if new else {})}


def replay(run: Run) -> list[Batch]:
    """Every landed answer with bars or actions, oldest first: a later one wins where two speak of one bar."""
    ids = [
        landing_id
        for vendor, endpoint in (
            ("polygon", "splits"),
            ("polygon", "dividends"),
            ("polygon", "grouped_daily"),
            ("polygon", "day_aggregates"),
            ("tiingo", "daily_prices"),
            ("tiingo", "daily_all"),
            ("yahoo", "chart"),
            ("operator", "bars_csv"),
        )
        for landing_id in run.landing.history(vendor, endpoint)
    ]  # fmt: skip
    return [
        {"key": f"answers {part[0]}-{part[-1]}", "landing_ids": part} for part in base.chunks(ids, SESSIONS_PER_BATCH)
    ]


LOAD = Load(name="prices", tables=TABLES, plan=plan, land=land, frames=frames, replay=replay, expected=expected)


def vendor_complete(run: Run) -> bool:
    """Whether the vendor has the run's last session: bars of nearly as many tickers as before it, or as are listed.

    Raises NoBars where it has none of a session that is over since days: its bars will not come.
    """
    session, vendor = run.sessions[-1], settings().price_vendor
    if vendor != "polygon":
        return ticker_vendors.complete(run, session)
    try:
        with closing(open_hook(vendor, run.engine)) as hook:
            answer = hook.grouped_daily(session)
    except (NotFound, NotYet) as error:
        log.info("%s", error)
        return False
    landing_id = run.landing.put(answer)
    bars = parse_answer(run.landing.read(landing_id)).bars
    have = compute.stock_prices(bars, db.query(run.engine, "ticker_history"), final=False).rows.height
    if bars.is_empty():
        ticker_vendors.refuse_if_over(vendor, session, answer.answered_at)
    before = last_sessions(session, 2)[0]
    counted = db.query(run.engine, "bars_by_session", first=before, last=before)["bars"].to_list()
    traded, listed = counted[0] if counted else 0, ticker_vendors.listed_shares(run, session).height
    wanted = max(1.0, COMPLETE_SHARE * traded)
    if settings().market_ends_on is None:  # a market that stands still has what it has: recordings, of some shares
        wanted = max(wanted, ticker_vendors.FIRST_SHARE * listed)
    told = (vendor, have, session, wanted, traded, listed)
    log.info("%s has bars of %d securities for %s, %.0f are enough: %d traded the session before, %d are listed", *told)
    return have >= wanted


def _gaps(run: Run, window: list[date]) -> list[date]:
    """The newest sessions in which a listed share has no bar and that were not asked again since they are final.

    A day without a trade is an omission as well: after the second final answer it stands.
    """
    settled = _settled(run, [day.isoformat() for day in window])
    open_ = [day for day in window if day.isoformat() not in settled]
    return db.query(run.engine, "missing_sessions", sessions=open_)["session"].to_list()[-GAP_SESSIONS:]


def _blank_and_read(run: Run, days: list[date]) -> set[str]:
    """Those of the sessions whose newest answer has no bar, or cannot be read, and that a published run did without."""
    read = db.query(run.engine, "sessions_read", keys=[day.isoformat() for day in days])["key"]
    return _blank(run, run.landing.latest("polygon", "grouped_daily", read.to_list()))


def _blank(run: Run, landed: dict[str, int]) -> set[str]:
    """The keys of the landed answers ({key: landing_id}) that have no bar or cannot be read."""
    blank = set()
    for answer in run.landing.read_each(landed.values()):
        try:
            empty = parse_answer(answer).bars.is_empty()
        except ValueError:  # frames() records it
            empty = True
        if empty:
            blank.add(answer.key)
    return blank


def _settled(run: Run, keys: Collection[str]) -> set[str]:
    """Those of the sessions that the vendor has answered twice since they are final."""
    finals = db.query(run.engine, "final_answers", vendor="polygon", endpoint="grouped_daily", keys=list(keys))
    return {key for key, answers in finals.iter_rows() if answers > 1}


def _new_securities(run: Run, window: list[date]) -> list[int]:
    if len(window) < 2 or db.query(run.engine, "bars_by_session", first=window[0], last=window[-2]).is_empty():
        return []
    new = db.query(run.engine, "securities_without_history", first=window[0], last=window[-2])["security_id"]
    tried = db.query(run.engine, "securities_staged_as_new")["security_id"]
    return sorted(set(new) - set(tried))


def _actions(run: Run, actions: list[pl.DataFrame], history: pl.DataFrame, stock_prices: pl.DataFrame) -> pl.DataFrame:
    found = pl.concat(actions) if actions else pl.DataFrame(schema=parse.ACTIONS | compute.EVIDENCE)
    if found.is_empty():
        return pl.DataFrame(schema=compute.CORPORATE_ACTIONS | base.LINEAGE)
    evidence = stock_prices.select("security_id", "session", "close", "adjusted_as_of")
    days = found["ex_date"]
    stored = db.query(
        run.engine,
        "closes_around",
        securities=compute.map_tickers(found, history, on="ex_date")[0]["security_id"].unique().to_list(),
        first=days.min() - timedelta(days=15),  # type: ignore[operator]
        last=days.max() + timedelta(days=15),  # type: ignore[operator]
    )
    bars = pl.concat([evidence, stored.cast(evidence.schema)]).unique(["security_id", "session"], keep="first")
    mapped = compute.corporate_actions(found, history, bars=bars)
    _say(mapped.problems)
    return mapped.rows


def _overlap(run: Run, stock_prices: pl.DataFrame, corporate_actions: pl.DataFrame) -> None:
    if stock_prices.is_empty():
        return
    first, last = stock_prices["session"].min(), stock_prices["session"].max()
    stored = db.query(run.engine, "last_bars", first=first - timedelta(days=7), last=last)  # type: ignore[operator]
    known = db.query(run.engine, "price_splits", last=last)
    new = corporate_actions.filter(pl.col("kind").is_in(compute.PRICE_KINDS)).select(known.columns)
    splits = pl.concat([known, new]).unique(["security_id", "ex_date"])
    _say(compute.check_overlap(stock_prices, stored, splits))


def _final(answered_at: datetime) -> pl.Expr:
    last = answered_at.astimezone(NEW_YORK) - timedelta(days=1, hours=7)  # is_final of a frame
    return pl.col("session") <= pl.lit(last.date())


def _latest(parts: list[pl.DataFrame], schema: dict[str, Any], key: list[str]) -> pl.DataFrame:
    """Of each key the rows of the newest answer that has it; more than one contradict each other."""
    if not parts:
        return pl.DataFrame(schema=schema | base.LINEAGE)
    rows = pl.concat(parts).sort("fetched_at", "landing_id")
    return rows.filter(pl.col("landing_id") == pl.col("landing_id").last().over(key))


def _say(*problems: pl.DataFrame) -> None:
    for frame in problems:
        for problem, key, detail in frame.head(20).iter_rows():
            log.warning("%s: %s: %s", problem, key, detail)
        if frame.height > 20:
            log.warning("... and %d more such problems", frame.height - 20)
