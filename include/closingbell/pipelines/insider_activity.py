"""What the published ownership rows make together -> marks in insider_trades, and insider_activity.

An amendment supersedes lines of other documents, which other batches or runs brought: so it is matched when they are
published, with all rows of its issuer. Rows whose marks change (or whose security is known by now) are published again,
and the sums of buying are made for the sessions that new rows touch and for those that have closed since.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from closingbell.insiders import compute
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.pipelines.insider_trades import TRADES
from closingbell.sessions import close_of, first_session_from, latest_session, sessions_between
from closingbell.settings import settings
from closingbell.warehouse import db

log = logging.getLogger(__name__)

NAME = "insider_activity"
TABLES = ("insider_trades", NAME)  # a run that ends between the two is followed by one that does both again
KEY = ["accession_no", "is_derivative", "row_no"]
MARKED = ["security_id", *compute.SUPERSEDED]
OVERLAP = timedelta(minutes=10)  # a publish may commit a little after the moment that its rows have
LONGEST = timedelta(days=max(compute.WINDOWS))


def plan(run: Run) -> list[Batch]:
    """One batch: rows published since the last time, sessions up to EDGAR's newest answer. After a backfill all."""
    state = db.query(run.engine, "insider_activity_state").row(0, named=True)
    if state["counted_from"] != state["filings_from"]:
        return _batch(state, since=None, last=None)  # a backfill: older sessions are whole now
    return _batch(state, since=state["since"], last=state["last"])


def land(run: Run, batch: Batch) -> Batch:
    """Nothing: the rows are in the warehouse."""
    return batch


def frames(run: Run, batch: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """The sums, and the rows whose marks or security are others now."""
    since, last, until = batch["since"], batch["last"], date.fromisoformat(batch["until"])
    touched = db.query(run.engine, "insiders_touched", since=since and datetime.fromisoformat(since))
    changed = _changed(run, touched["issuer_cik"].to_list())
    touched = touched.filter(pl.col("new") | pl.col("issuer_cik").is_in(changed["issuer_cik"].implode())).drop("new")
    log.info("insider_activity: rows of %d issuers are new, %d rows are marked", touched.height, changed.height)
    sums = _sums(run, touched, changed, last and date.fromisoformat(last), until)
    yield NAME, sums.with_columns(filings_from=_filings_from(batch["filings_from"]))
    yield "insider_trades", changed


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """Until when rows are counted, where the next run begins; the day that filings were loaded from; what is new."""
    if not batches:
        return {}
    return {
        NAME: {name: batches[0][name] for name in ("upto", "filings_from")},
        TABLES[0]: {"since": batches[0]["since"]},
    }


def replay(run: Run) -> list[Batch]:
    """Everything anew."""
    return _batch(db.query(run.engine, "insider_activity_state").row(0, named=True), since=None, last=None)


LOAD = Load(
    name=NAME, tables=TABLES, plan=plan, land=land, frames=frames, replay=replay, expected=expected, part="amendments"
)


def _batch(state: dict[str, Any], *, since: datetime | None, last: date | None) -> list[Batch]:
    if state["answered_at"] is None:
        log.info("insider_activity: no ownership document was loaded so far")
        return []
    until = latest_session(state["answered_at"])
    if ends := settings().market_ends_on:
        until = min(until, ends)
    said = {"since": since and (since - OVERLAP).isoformat(), "last": last and last.isoformat()}
    said["filings_from"] = state["filings_from"] and state["filings_from"].isoformat()
    return [{"key": f"until {until}", "until": until.isoformat(), "upto": state["upto"].isoformat()} | said]


def _filings_from(first: str | None) -> pl.Expr:
    """The day that a session's filings are loaded from, at most its longest window's first; null: no index was read."""
    if first is None:
        return pl.lit(None, pl.Date)
    day = date.fromisoformat(first)
    while (day - timedelta(days=1)).weekday() > 4:  # EDGAR takes nothing on a weekend
        day -= timedelta(days=1)
    return pl.max_horizontal(pl.lit(day), pl.col("session") - LONGEST + timedelta(days=1))


def _changed(run: Run, ciks: list[int]) -> pl.DataFrame:
    """Rows of these issuers whose marks or security differ from what is stored, with the lineage that they have."""
    stored = db.query(run.engine, "insider_rows_of", ciks=ciks)
    amended = pl.col("issuer_cik").is_in(compute.amended_issuers(stored))
    marked = compute.supersede(stored.filter(amended))
    rows = pl.concat([marked.select(stored.columns), stored.filter(~amended)])
    mapped = compute.with_securities(rows, db.query(run.engine, "issuer_listings")).select(stored.columns)
    # a share that was there stays: its ticker may have gone to another class since
    mapped = mapped.with_columns(pl.coalesce(rows["security_id"], mapped["security_id"]).alias("security_id"))
    before = stored.select(*KEY, *(pl.col(name).alias(f"{name}_before") for name in MARKED))
    differs = [~pl.col(name).eq_missing(pl.col(f"{name}_before")) for name in MARKED]
    return mapped.join(before, on=KEY).filter(pl.any_horizontal(differs)).select(*TRADES, "landing_id", "fetched_at")


def _sums(run: Run, touched: pl.DataFrame, changed: pl.DataFrame, last: date | None, until: date) -> pl.DataFrame:
    """Sums of touched issuers from the session that first knew of it on, and of all for the sessions after `last`."""
    after = (last or until) + timedelta(days=1)
    ciks = touched["issuer_cik"].to_list()
    trades = db.query(run.engine, "insider_open_market", ciks=ciks, first=after - LONGEST)
    trades = trades.update(changed.select(*KEY, *MARKED), on=KEY, include_nulls=True)
    new = _activity(trades, after, until)
    if touched.is_empty():
        return new
    first: date = touched["first"].min()  # type: ignore[assignment]
    of_touched = trades.join(touched, on="issuer_cik")
    firsts = of_touched.drop_nulls("security_id").group_by("security_id").agg(pl.col("first").min())
    securities = firsts["security_id"].to_list()
    stored = db.query(run.engine, "insider_activity_of", securities=securities, first=first)
    again, stored = (
        rows.join(firsts, on="security_id").filter(pl.col("session") >= pl.col("first")).select(list(compute.ACTIVITY))
        for rows in (_activity(of_touched, first, until), stored)
    )
    key = ["security_id", "session"]
    # what was counted and stands no more: nothing was bought
    gone = stored.join(again, on=key, how="anti").with_columns(
        pl.lit(0).cast(dtype).alias(name) for name, dtype in compute.ACTIVITY.items() if name not in (*key, "known_at")
    )
    return pl.concat([again, gone, new.join(again, on=key, how="anti")]).unique(key, keep="first", maintain_order=True)


def _activity(trades: pl.DataFrame, first: date, until: date) -> pl.DataFrame:
    start = first_session_from(first)
    days = sessions_between(start, until) if start and start <= until else []
    sessions = pl.DataFrame(
        {"session": days, "closes_at": [close_of(day) for day in days]},
        schema={"session": pl.Date, "closes_at": pl.Datetime("us", "UTC")},
    )
    return compute.activity(trades, sessions)
