"""Technical indicators of a session for many securities at once, by TA-Lib.

In: bars (security_id, session, open, high, low, close, volume, adjusted_as_of), each security's own, in any order;
splits (security_id, ex_date, kind, numerator, denominator; a spin_off moves prices, not volumes). Out: rows of
technical_indicators without lineage. A row of session S is a pure function of the security's last 400 bars up to S on
S's split basis (exact fractions, see `compute`), so a daily run and a backfill give the same bytes. A security has a
row for S where it has a bar on S; what its bars are too few for is null.

Definitions (Wilder 1978 for RSI, ATR and ADX; TA-Lib's seeding: an EMA starts at the mean of its first period):
rsi_14, macd(12, 26, 9), sma and ema of closes, bollinger(20, 2 population deviations), atr_14, adx_14, stochastic
slow (14, 3, 3), roc_10 in per cent, obv counted from 0 at the window's first bar, volume_sma_20; volatility_20 is the
sample deviation of the last 20 log returns times sqrt(252); returns are of split-adjusted prices without dividends,
over 21, 63, 126 and 252 sessions, as fractions, from the close of that session or of one of the five before it: a
share that trades seldom has none where it had no bar then. All else counts the security's own bars. Bars with
`adjusted_as_of` are on that day's basis already: only splits after it are applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction

import numpy as np
import polars as pl

from closingbell.prices.compute import split_fractions
from closingbell.sessions import calendar, last_sessions

WINDOW = 400
NO_OLDER = 5  # sessions before the one that a return counts from
RETURNS = {"return_1m": 21, "return_3m": 63, "return_6m": 126, "return_12m": 252}
TALIB_COLUMNS = (
    "rsi_14", "macd", "macd_signal", "macd_histogram", "sma_20", "sma_50", "sma_200", "ema_12", "ema_26",
    "bollinger_upper", "bollinger_middle", "bollinger_lower", "atr_14", "adx_14", "stochastic_k", "stochastic_d",
    "roc_10", "obv", "volume_sma_20",
)  # fmt: skip
COLUMNS = ("close", *TALIB_COLUMNS, "volatility_20", *RETURNS)
TECHNICAL_INDICATORS = {
    "security_id": pl.Int64,
    "session": pl.Date,
    **dict.fromkeys(COLUMNS, pl.Float64),
    "bars": pl.Int32,
}
EPOCH = date(1970, 1, 1)

Window = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""high, low, close, volume of one security, oldest first, contiguous float64 on one split basis; ages, in sessions."""


def technical_indicators(bars: pl.DataFrame, splits: pl.DataFrame, *, sessions: Sequence[date]) -> pl.DataFrame:
    """Rows of technical_indicators for each of `sessions`, sorted by session and security.

    `bars` must hold those of the last 400 sessions up to each (older and later ones are harmless); one session is
    the daily run, many the backfill.
    """
    frames = [pl.DataFrame(schema=TECHNICAL_INDICATORS)]
    series = _Series(bars, splits)
    for session in sorted(set(sessions)):
        securities, windows = series.on(session)
        if windows:
            values = indicators(windows)
            counts = pl.Series("bars", [len(window[2]) for window in windows], dtype=pl.Int32)
            frame = pl.DataFrame(values, schema=dict.fromkeys(COLUMNS, pl.Float64), nan_to_null=True)
            frames.append(
                frame.select(
                    pl.Series("security_id", securities, dtype=pl.Int64),
                    pl.lit(session).alias("session"),
                    *COLUMNS,
                    counts,
                )
            )
    return pl.concat(frames)


def indicators(windows: Sequence[Window]) -> dict[str, np.ndarray]:
    """{column: value of each window's last bar}, NaN where its bars are too few: arrays in, arrays out."""
    out = _talib(windows)
    tail = np.full((len(windows), 21), np.nan)
    by_age = np.full((len(windows), RETURNS["return_12m"] + NO_OLDER + 1), np.nan)
    for row, (_, _, close, _, ages) in enumerate(windows):
        last = close[-21:]
        tail[row, 21 - len(last) :] = last
        recent = ages < by_age.shape[1]
        by_age[row, ages[recent]] = close[recent]
    values = {"close": tail[:, -1].copy(), **dict(zip(TALIB_COLUMNS, out, strict=True))}
    values["volatility_20"] = _volatility(tail)
    for name, back in RETURNS.items():
        base = by_age[:, back].copy()
        for age in range(back + 1, back + NO_OLDER + 1):
            base = np.where(np.isnan(base), by_age[:, age], base)
        values[name] = tail[:, -1] / base - 1
    _blank_where_flat(values, windows)
    for column in values.values():
        column[~np.isfinite(column)] = np.nan
    return values


def lines(close: np.ndarray) -> dict[str, np.ndarray]:
    """What a chart draws along closes (one split basis, oldest first): {column: a value a bar}.

    NaN where bars are too few. A bar with 399 before it has the value of its row of technical_indicators, but for what
    older bars still weigh (1e-6).
    """
    from talib import MA_Type
    from talib._ta_lib import BBANDS, MACD, RSI, SMA

    close = np.ascontiguousarray(close, dtype=np.float64)
    macd, signal, histogram = MACD(close, 12, 26, 9)
    upper, middle, lower = BBANDS(close, 20, 2.0, 2.0, MA_Type.SMA)
    return {
        "rsi_14": RSI(close, 14), "macd": macd, "macd_signal": signal, "macd_histogram": histogram,
        "sma_20": middle, "sma_50": SMA(close, 50), "sma_200": SMA(close, 200),
        "bollinger_upper": upper, "bollinger_lower": lower,
    }  # fmt: skip


def _talib(windows: Sequence[Window]) -> np.ndarray:
    """Last values of TA-Lib's arrays, (19 columns, windows)."""
    # talib's public names wrap these same functions in a check for pandas and polars input
    from talib import MA_Type
    from talib._ta_lib import ADX, ATR, BBANDS, EMA, MACD, OBV, ROC, RSI, SMA, STOCH

    out = np.empty((len(windows), len(TALIB_COLUMNS)))
    for row, (high, low, close, volume, _) in enumerate(windows):
        macd, signal, histogram = MACD(close, 12, 26, 9)
        upper, middle, lower = BBANDS(close, 20, 2.0, 2.0, MA_Type.SMA)
        slow_k, slow_d = STOCH(high, low, close, 14, 3, MA_Type.SMA, 3, MA_Type.SMA)
        out[row] = (
            RSI(close, 14)[-1], macd[-1], signal[-1], histogram[-1],
            middle[-1], SMA(close, 50)[-1], SMA(close, 200)[-1], EMA(close, 12)[-1], EMA(close, 26)[-1],
            upper[-1], middle[-1], lower[-1], ATR(high, low, close, 14)[-1], ADX(high, low, close, 14)[-1],
            slow_k[-1], slow_d[-1], ROC(close, 10)[-1], OBV(close, volume)[-1] - volume[0], SMA(volume, 20)[-1],
        )  # fmt: skip
    return np.ascontiguousarray(out.T)


def _volatility(closes: np.ndarray) -> np.ndarray:
    # column by column, so that a row's sum does not depend on how many rows there are
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(np.ascontiguousarray(closes.T))
    steps = logs[1:] - logs[:-1]
    count = len(steps)
    mean = sum(steps[1:], steps[0].copy()) / count
    squares = sum(((step - mean) ** 2 for step in steps[1:]), (steps[0] - mean) ** 2)
    return np.sqrt(squares / (count - 1)) * np.sqrt(252.0)


def _blank_where_flat(values: dict[str, np.ndarray], windows: Sequence[Window]) -> None:
    # without any move TA-Lib's ratios are 0/0, which it writes as 0: the lowest reading, where there is none
    for row in np.flatnonzero(values["rsi_14"] == 0.0).tolist():
        close = windows[row][2]
        if close.min() == close.max():
            values["rsi_14"][row] = np.nan
    for row in np.flatnonzero((values["stochastic_k"] == 0.0) | (values["stochastic_d"] == 0.0)).tolist():
        high, low = windows[row][0][-18:], windows[row][1][-18:]
        if high.max() == low.min():
            values["stochastic_k"][row] = values["stochastic_d"][row] = np.nan


class _Series:
    """Every security's bars as slices of one array a column; `on` cuts a session's windows out, without copies."""

    def __init__(self, bars: pl.DataFrame, splits: pl.DataFrame) -> None:
        bars = bars.sort("security_id", "session")
        self._columns = tuple(bars[name].cast(pl.Float64).to_numpy() for name in ("high", "low", "close", "volume"))
        self._days = bars["session"].cast(pl.Int32).to_numpy()
        self._numbers = np.searchsorted(calendar().sessions.to_numpy().astype("datetime64[D]").astype(int), self._days)
        self._own_basis = (
            bars.select(pl.max_horizontal("session", "adjusted_as_of").cast(pl.Int32)).to_series().to_numpy()
        )
        runs = bars.group_by("security_id", maintain_order=True).len()
        self._securities = runs["security_id"].to_list()
        ends = np.cumsum(runs["len"].to_numpy())
        self._starts, self._ends = [0, *ends[:-1].tolist()] if len(ends) else [], ends.tolist()
        self._price_splits = split_fractions(splits)
        self._share_splits = split_fractions(splits.filter(pl.col("kind") == "split"))

    def on(self, session: date) -> tuple[list[int], list[Window]]:
        """(security ids, windows) of those with a bar on `session`."""
        day = (session - EPOCH).days
        oldest = (last_sessions(session, WINDOW)[0] - EPOCH).days
        securities, windows = [], []
        for security_id, start, end in zip(self._securities, self._starts, self._ends, strict=True):
            stop = start + int(np.searchsorted(self._days[start:end], day, side="right"))
            if stop == start or self._days[stop - 1] != day:
                continue
            begin = start + int(np.searchsorted(self._days[start:stop], oldest))
            securities.append(security_id)
            windows.append(self._window(security_id, begin, stop, session))
        return securities, windows

    def _window(self, security_id: int, begin: int, stop: int, session: date) -> Window:
        high, low, close, volume = (column[begin:stop] for column in self._columns)
        ages = self._numbers[stop - 1] - self._numbers[begin:stop]
        own = self._own_basis[begin:stop]
        prices = _factors(self._price_splits.get(security_id), own, session)
        if prices is None:
            return high, low, close, volume, ages
        up, down = prices
        high, low, close = high * down / up, low * down / up, close * down / up
        shares = _factors(self._share_splits.get(security_id), own, session)
        return high, low, close, volume if shares is None else volume * shares[0] / shares[1], ages


def _factors(
    splits: Sequence[tuple[date, Fraction]] | None, own: np.ndarray, session: date
) -> tuple[np.ndarray, np.ndarray] | None:
    """New shares for how many old ones, bar by bar, from the basis it has to that of `session`; None: all the same."""
    if not splits:
        return None
    up, down = np.ones(len(own)), np.ones(len(own))
    for ex_day, ratio in _cumulated(splits, session):
        earlier = own < ex_day
        up[earlier], down[earlier] = float(ratio.numerator), float(ratio.denominator)
    return None if (up == down).all() else (up, down)


def _cumulated(splits: Sequence[tuple[date, Fraction]], session: date) -> Iterator[tuple[int, Fraction]]:
    """(ex_date as a day number, product of this split and all later ones up to `session`), newest first."""
    product = Fraction(1)
    for ex_date, ratio in reversed(splits):
        if ex_date <= session:
            product *= ratio
            yield (ex_date - EPOCH).days, product
