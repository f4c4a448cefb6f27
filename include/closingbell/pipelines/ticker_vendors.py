"""Bars of the vendors that are asked by ticker: Tiingo and Yahoo. What market_close plans, lands and expects of them.

Tiingo gives its newest session for all tickers in one answer, splits and dividends of the day included; history, holes
and sessions it is asked for too late come by ticker. Yahoo is asked by ticker alone, for lists up to 500. A ticker's
range reaches up to today, whatever the session: the sessions after a gap need no question of their own then, and
Yahoo's bars, which are adjusted for every split up to today, can be put back as traded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from closingbell.hooks import open_hook
from closingbell.hooks.errors import AuthFailed, NoBars, NotFound
from closingbell.landing import Landed
from closingbell.pipelines import base
from closingbell.pipelines.base import Batch, Run
from closingbell.pipelines.price_answers import is_final, parse_answer
from closingbell.prices import compute
from closingbell.sessions import NEW_YORK, last_sessions, latest_session
from closingbell.settings import settings
from closingbell.universe.tickers import vendor_ticker
from closingbell.warehouse import db
from closingbell.warehouse import load as warehouse

log = logging.getLogger(__name__)

TICKERS_PER_BATCH = 50
YAHOO_LIMIT = 500
PROBES = 5
OVERLAP_DAYS = 10  # a ticker's range reaches back this far into stored bars, so that an unseen split shows
COMPLETE_SHARE = 0.95  # of the shares that traded before
FIRST_SHARE = 0.5  # of the listed ones, where little is stored: a vendor may know fewer
LATE_SESSIONS = 5  # that a vendor may take to serve a session's bars
ENDPOINTS = {"tiingo": "daily_prices", "yahoo": "chart"}


def window_of(asked: Sequence[date]) -> list[date]:
    """The sessions asked for and those before each of them that its indicators need, in order."""
    needed = settings().warmup_sessions
    return sorted({*last_sessions(asked[0], needed), *last_sessions(asked[-1], needed), *asked})


def plan(run: Run, asked: Sequence[date]) -> list[Batch]:
    """Tiingo's answer of all tickers, if it is of the last session asked for, and the tickers that owe us bars."""
    vendor, session, window = settings().price_vendor, asked[-1], window_of(asked)
    listed = listed_shares(run, session)
    listed = listed.head(int(run.params.get("limit") or listed.height))
    if vendor == "yahoo" and listed.height > YAHOO_LIMIT:
        raise ValueError(
            f"yahoo serves lists up to {YAHOO_LIMIT} tickers, {listed.height} are listed: give the Param tickers, "
            "or set CLOSINGBELL_TICKERS, or CLOSINGBELL_PRICE_VENDOR to polygon or tiingo"
        )
    batches: list[Batch] = []
    given: list[int] = []
    if vendor == "tiingo" and (answer := _all_tickers(run, session)) and (given := _given(run, answer, session)):
        batches.append({"key": f"all tickers {session}", "landing_ids": [answer.landing_id]})
    full, always = bool(run.params.get("full")), asked if vendor == "yahoo" else []
    holes = db.query(
        run.engine,
        "price_holes",
        security_ids=listed["security_id"].to_list(),
        tickers=[vendor_ticker(ticker, vendor) for ticker in listed["ticker"]],
        sessions=window,
        last=session,
        given=[] if full else given,
        again=window if full else list(always),
        vendor=vendor,
        endpoint=ENDPOINTS[vendor],
    )
    rows = listed.select("ticker", "security_id").join(holes.select("security_id", "first"), on="security_id")
    rows = rows.with_columns(pl.max_horizontal(pl.col("first") - timedelta(days=OVERLAP_DAYS), pl.lit(window[0])))
    last = max(session, datetime.now(NEW_YORK).date())
    batches += [
        {
            "key": f"{part['ticker'][0]}..{part['ticker'][-1]}",
            "tickers": {ticker: first.isoformat() for ticker, first in part.select("ticker", "first").iter_rows()},
            "last": last.isoformat(),
        }
        for part in rows.sort("ticker").iter_slices(TICKERS_PER_BATCH)
    ]
    if batches:
        batches[0]["sessions"] = [day.isoformat() for day in asked]
    return batches


def land(run: Run, hook: Any, batch: Batch) -> list[int]:
    """One answer a ticker of the batch; those landed since this run opened its stage are not asked again."""
    vendor, tickers, last = settings().price_vendor, batch["tickers"], batch["last"]
    endpoint = ENDPOINTS[vendor]
    fetch = hook.chart if vendor == "yahoo" else hook.daily_prices
    stage_id = warehouse.stage_id(run.dag_id, run.run_id, "stock_prices")
    here = db.query(run.engine, "landed_since_open", stage_id=stage_id, vendor=vendor, endpoint=endpoint)
    had = dict(here.iter_rows())
    landed = {
        ticker: had[key]
        for ticker, first in tickers.items()
        if (key := f"{vendor_ticker(ticker, vendor)}:{first}:{last}") in had
    }
    landed |= base.land_each(
        run,
        endpoint,
        vendor,
        [ticker for ticker in tickers if ticker not in landed],
        lambda ticker: fetch(
            vendor_ticker(ticker, vendor), date.fromisoformat(tickers[ticker]), date.fromisoformat(last)
        ),
    )
    return [landed[ticker] for ticker in sorted(landed)]


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, Any]:
    """What the audit counts against: the sessions asked for, times the shares that traded on the one stored before.

    Where hardly any of the listed shares did, the listed ones with a smaller share, over the whole window where nothing
    is stored. Nothing where only some holes are filled: the vendor may have no bar for any of them.
    """
    asked = sorted(date.fromisoformat(day) for batch in batches for day in batch.get("sessions", ()))
    if not asked:
        return {}
    window, listed, before = window_of(asked), listed_shares(run, asked[-1]), last_sessions(asked[0], 2)[0]
    stored = db.query(run.engine, "bars_by_session", first=min(window[0], before), last=before)["session"]
    wanted = _traded(run, listed, stored[-1], asked[-1]) if stored.len() else listed.clear()
    sessions, share = asked, _share(wanted.height)
    if wanted.height < FIRST_SHARE * listed.height:
        wanted, share = listed, FIRST_SHARE
        if stored.is_empty():
            sessions = window
            wanted = listed.filter(pl.col("first_session").is_null() | (pl.col("first_session") <= window[0]))
    if not any("landing_ids" in batch for batch in batches):
        owing = [ticker for batch in batches for ticker in batch.get("tickers", ())]
        if wanted.filter(pl.col("ticker").is_in(owing)).height < FIRST_SHARE * wanted.height:
            return {}
    found: dict[str, Any] = {"sessions": [day.isoformat() for day in sessions]}
    if wanted.height:
        found |= {"securities": wanted["security_id"].to_list(), "min_share": share}
    return {"stock_prices": found}


def complete(run: Run, session: date) -> bool:
    """Whether the vendor has the session: bars of nearly all shares that traded before, or of one of a few tickers."""
    listed = listed_shares(run, session)
    if listed.is_empty():
        raise ValueError(f"no ticker is listed on {session}: run universe first")
    if settings().price_vendor == "tiingo" and (answer := _all_tickers(run, session)):
        have = set(_given(run, answer, session)) & set(listed["security_id"])
        wanted = _traded(run, listed, last_sessions(session, 2)[0], session)
        share = _share(wanted.height) if wanted.height >= FIRST_SHARE * listed.height else FIRST_SHARE
        of = max(wanted.height, listed.height) if share == FIRST_SHARE else wanted.height
        log.info("tiingo has bars of %d of %d shares for %s", len(have), of, session)
        return len(have) >= max(1.0, share * of)
    # one may be halted or renamed: any of a few shows that the vendor has the session
    probe = dict.fromkeys(listed["ticker"].head(PROBES), last_sessions(session, 3)[0].isoformat())
    last = max(session, datetime.now(NEW_YORK).date())
    with closing(open_hook(settings().price_vendor, run.engine)) as hook:
        answers = land(run, hook, {"tickers": probe, "last": last.isoformat()})
    parsed = list(base.parse_each(run, run.landing.read_each(answers), parse_answer))
    if any(session in set(found.bars["session"]) for _, found in parsed):
        return True
    for answer, _ in parsed:
        refuse_if_over(answer.vendor, session, answer.answered_at)
    return False


def refuse_if_over(vendor: str, session: date, answered_at: datetime) -> None:
    """Raise NoBars where the vendor answered without a bar, and more than LATE_SESSIONS have closed since."""
    if session < last_sessions(latest_session(answered_at), LATE_SESSIONS + 1)[0]:
        raise NoBars(
            vendor, "bars", session.isoformat(), 200,
            f"no bar of any ticker, and {LATE_SESSIONS} sessions have closed since: waiting brings none; ask for a "
            "session since its prices begin, or take another vendor (CLOSINGBELL_PRICE_VENDOR)",
        )  # fmt: skip


def listed_shares(run: Run, session: date) -> pl.DataFrame:
    """Shares to ask a vendor for one by one: of the Param tickers, else of the setting, else all that are listed."""
    tickers = run.params.get("tickers") or settings().only_tickers or None
    listed = db.query(run.engine, "listed_tickers", session=session, tickers=tickers)
    return listed.unique("security_id", keep="first", maintain_order=True)


def _traded(run: Run, listed: pl.DataFrame, before: date, until: date) -> pl.DataFrame:
    return listed.join(
        db.query(run.engine, "securities_traded", session=before, until=until), on="security_id", how="semi"
    )


def _share(securities: int) -> float:
    """The share of so many securities that must have a bar; of a short list a few may be halted."""
    return min(COMPLETE_SHARE, max(1, securities - PROBES) / securities) if securities else COMPLETE_SHARE


def _all_tickers(run: Run, session: date) -> Landed | None:
    """Tiingo's answer of all tickers under the session's key: a landed one that is final, else the vendor's now.

    Where the vendor is at a later session already, the last one landed; None where there is none.
    """
    day = session.isoformat()
    here = db.query(run.engine, "landed_bars", vendor="tiingo", endpoint="daily_all", keys=[day])
    found = here["landing_id"].to_list()
    later = any(len(key) == len(day) and key > day for key in run.landing.latest("tiingo", "daily_all"))
    if not later and not run.params.get("dry_run") and not (found and is_final(session, here["answered_at"][0])):
        try:
            with closing(open_hook("tiingo", run.engine)) as hook:
                answer = hook.daily_all()
        except (AuthFailed, NotFound) as error:
            log.warning("%s; this plan serves no answer of all tickers, each is asked for by itself", error)
        else:
            landing_id = run.landing.put(answer)
            found = [landing_id] if answer.key == day else found
    return run.landing.read(found[0]) if found else None


def _given(run: Run, answer: Landed, session: date) -> list[int]:
    """Securities whose bar of the session the answer holds; none where it does not parse, which is recorded."""
    history = db.query(run.engine, "ticker_history")
    found: set[int] = set()
    for _, parsed in base.parse_each(run, [answer], parse_answer):
        bars = parsed.bars.filter((pl.col("session") == session) & pl.col("close").is_not_null())
        found |= set(compute.stock_prices(bars, history, final=False).rows["security_id"])
    return sorted(found)
