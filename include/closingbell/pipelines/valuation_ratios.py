"""stock_prices, securities and financials as known at the close -> valuation_ratios of whole sessions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date

import polars as pl

from closingbell.pipelines.base import Batch, Load, Run
from closingbell.pipelines.scores import (
    expect_sessions,
    nothing_to_land,
    only_asked_for,
    plan_sessions,
    replay_sessions,
)
from closingbell.prices import valuation
from closingbell.sessions import close_of
from closingbell.warehouse import db

log = logging.getLogger(__name__)


def frames(run: Run, batch: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """valuation_ratios of the batch's sessions."""
    sessions = [date.fromisoformat(day) for day in batch["sessions"]]
    securities = db.query(run.engine, "securities_all")
    class_shares = db.query(run.engine, "class_shares", last=sessions[-1])
    splits = db.query(run.engine, "score_splits", last=sessions[-1])
    found = [pl.DataFrame(schema=valuation.VALUATION_RATIOS)]
    for session in sessions:
        valued = valuation.valuation_ratios(
            db.query(run.engine, "closes_on", session=session),
            securities,
            db.query(run.engine, "valuation_statements", as_of=close_of(session)),
            splits.filter(pl.col("ex_date") <= session),
            session=session,
            class_shares=class_shares,
            receipt_issuers=set(db.query(run.engine, "receipt_issuers", as_of=close_of(session))["cik"]),
        )
        for value, reason, count in valued.reasons.group_by("value", "reason").len().sort("len").tail(10).iter_rows():
            log.info("%s: no %s for %d securities: %s", session, value, count, reason)
        found.append(valued.ratios)
    yield "valuation_ratios", only_asked_for(run, pl.concat(found))


LOAD = Load(
    name="valuation_ratios",
    tables=("valuation_ratios",),
    plan=plan_sessions,
    land=nothing_to_land,
    frames=frames,
    replay=replay_sessions("valuation_ratios"),
    expected=expect_sessions("valuation_ratios"),
)
