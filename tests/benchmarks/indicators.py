"""Technical indicators of one session for 4,600 stocks, arrays in, arrays out, against the bare TA-Lib calls.

The baseline calls TA-Lib's own functions on the same arrays and keeps what they return: no frame, no split, no last
value. Reported beside it, without a baseline of its own: the daily run from bars as a frame to rows as a frame, with a
split inside the window of one stock in twenty. Reading and publishing them is a row of market_close's benchmark.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from closingbell.prices.indicators import WINDOW, indicators, technical_indicators
from closingbell.sessions import last_sessions

STOCKS = 4600
BUDGET = 1.5
ROUNDS = 5
FRAME_SECONDS = 60.0
SESSION = date(2024, 6, 28)


def measure() -> list[dict[str, Any]]:
    """The benchmark's rows: name, value, baseline, ratio, budget, holds (seconds, the best of five rounds)."""
    windows = _windows()
    ours, bare = float("inf"), float("inf")
    for _ in range(ROUNDS):  # in turns, so that a busy machine slows both
        bare = min(bare, _seconds(lambda: _bare(windows)))
        ours = min(ours, _seconds(lambda: indicators(windows)))
    bars, splits = _frames(windows)
    whole = min(_seconds(lambda: technical_indicators(bars, splits, sessions=[SESSION])) for _ in range(2))
    return [
        {
            "name": "indicators, 4,600 stocks, arrays, seconds, against the bare TA-Lib calls",
            "value": ours,
            "baseline": bare,
            "ratio": ours / bare,
            "budget": f"<= {BUDGET:g}",
            "holds": ours <= BUDGET * bare,
        },
        {
            "name": "indicators, 4,600 stocks, frame to frame, seconds",
            "value": whole,
            "baseline": FRAME_SECONDS,
            "ratio": whole / FRAME_SECONDS,
            "budget": f"<= {FRAME_SECONDS:g}",  # a third of market_close's three minutes
            "holds": whole <= FRAME_SECONDS,
        },
    ]


def _bare(windows: list[tuple[np.ndarray, ...]]) -> list[Any]:
    from talib._ta_lib import ADX, ATR, BBANDS, EMA, MACD, OBV, ROC, RSI, SMA, STOCH

    return [
        (
            RSI(close, 14), MACD(close, 12, 26, 9), SMA(close, 20), SMA(close, 50), SMA(close, 200), EMA(close, 12),
            EMA(close, 26), BBANDS(close, 20, 2.0, 2.0), ATR(high, low, close, 14), ADX(high, low, close, 14),
            STOCH(high, low, close, 14, 3, 0, 3, 0), ROC(close, 10), OBV(close, volume), SMA(volume, 20),
        )
        for high, low, close, volume, _ in windows
    ]  # fmt: skip


def _windows() -> list[tuple[np.ndarray, ...]]:
    random = np.random.default_rng(7)
    windows = []
    for _ in range(STOCKS):
        close = 50 * np.exp(np.cumsum(0.02 * random.standard_normal(WINDOW)))
        spread = 1 + 0.01 * random.random(WINDOW)
        volume = random.integers(1e5, 1e7, WINDOW).astype(float)
        windows.append((close * spread, close / spread, close, volume, np.arange(WINDOW)[::-1]))
    return windows


def _frames(windows: list[tuple[np.ndarray, ...]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    days = last_sessions(SESSION, WINDOW)
    columns = {
        name: np.concatenate([window[at] for window in windows])
        for at, name in enumerate(("high", "low", "close", "volume"))
    }
    bars = pl.DataFrame(
        {"security_id": np.repeat(np.arange(STOCKS), WINDOW), "session": days * STOCKS, **columns},
        schema_overrides={"session": pl.Date},
    ).with_columns(pl.lit(None, dtype=pl.Date).alias("adjusted_as_of"))
    ids = list(range(0, STOCKS, 20))
    splits = pl.DataFrame({"security_id": ids, "ex_date": [days[200]] * len(ids)}).with_columns(
        pl.lit("split").alias("kind"), pl.lit(4.0).alias("numerator"), pl.lit(1.0).alias("denominator")
    )
    return bars, splits


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
