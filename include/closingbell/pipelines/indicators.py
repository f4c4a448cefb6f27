"""stock_prices and splits -> technical_indicators of whole sessions."""

from __future__ import annotations

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
from closingbell.prices.indicators import WINDOW, technical_indicators
from closingbell.sessions import last_sessions
from closingbell.warehouse import db


def frames(run: Run, batch: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """technical_indicators of the batch's sessions."""
    sessions = [date.fromisoformat(day) for day in batch["sessions"]]
    bars = db.query(run.engine, "last_bars", first=last_sessions(sessions[0], WINDOW)[0], last=sessions[-1])
    splits = db.query(run.engine, "price_splits", last=sessions[-1])
    yield "technical_indicators", only_asked_for(run, technical_indicators(bars, splits, sessions=sessions))


LOAD = Load(
    name="indicators",
    tables=("technical_indicators",),
    plan=plan_sessions,
    land=nothing_to_land,
    frames=frames,
    replay=replay_sessions("technical_indicators"),
    expected=expect_sessions("technical_indicators"),
)
