"""Indicators against plain definitions in numpy (no TA-Lib), daily against backfill, splits, gaps."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closingbell.prices.indicators import COLUMNS, TECHNICAL_INDICATORS, WINDOW, technical_indicators
from closingbell.sessions import last_sessions
from fixtures.plain_indicators import plain

LAST = date(2024, 6, 28)
DAYS = last_sessions(LAST, 520)
NO_SPLITS = pl.DataFrame(
    schema={
        "security_id": pl.Int64, "ex_date": pl.Date, "kind": pl.String, "numerator": pl.Float64,
        "denominator": pl.Float64,
    }
)  # fmt: skip


def bars_of(security_id: int, days: list[date], seed: int = 1, start: float = 80.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    count = len(days)
    close = np.round(start * np.exp(np.cumsum(0.02 * random.standard_t(4, count))), 2)
    open_ = np.round(close * np.exp(0.005 * random.standard_normal(count)), 2)
    high = np.round(np.maximum(open_, close) * (1 + 0.01 * random.random(count)), 2)
    low = np.round(np.minimum(open_, close) * (1 - 0.01 * random.random(count)), 2)
    volume = np.round(random.uniform(1e5, 1e7, count))
    return pl.DataFrame(
        {
            "security_id": [security_id] * count, "session": days, "open": open_, "high": high, "low": low,
            "close": close, "volume": volume, "adjusted_as_of": [None] * count,
        },
        schema_overrides={"adjusted_as_of": pl.Date},
    )  # fmt: skip


def split(security_id: int, ex_date: date, numerator: float, denominator: float, kind: str = "split") -> pl.DataFrame:
    row = (security_id, ex_date, kind, float(numerator), float(denominator))
    return pl.DataFrame([row], schema=NO_SPLITS.schema, orient="row")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_indicator_equals_its_plain_definition(seed):
    bars = bars_of(1, DAYS, seed)
    row = technical_indicators(bars, NO_SPLITS, sessions=[LAST]).row(0, named=True)
    expected = plain(bars.tail(WINDOW))
    assert set(expected) == set(COLUMNS)
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
    assert row["bars"] == 400


def test_returns_count_sessions_and_not_the_shares_own_bars():
    """A share that trades every fifth session and rises 0.1 % a session: a month is 21 sessions, not 105."""
    days = DAYS[4::5]
    closes = [10 * 1.001 ** DAYS.index(day) for day in days]
    seldom = bars_of(1, days).with_columns(pl.Series(name, closes) for name in ("open", "high", "low", "close"))
    row = technical_indicators(seldom, NO_SPLITS, sessions=[LAST]).row(0, named=True)
    for name, sessions in {"return_1m": 25, "return_3m": 65, "return_6m": 130, "return_12m": 255}.items():
        assert row[name] == pytest.approx(1.001**sessions - 1), name
    for name, value in plain(seldom.tail(80)).items():
        if name.startswith("return_"):
            assert row[name] == pytest.approx(value), name


@pytest.mark.parametrize(("missing", "expected"), [(5, True), (6, False)])
def test_a_return_from_a_bar_that_is_more_than_five_sessions_older_is_none(missing, expected):
    bars = bars_of(1, DAYS)
    stopped = bars.filter(~pl.col("session").is_in(DAYS[-21 - missing : -21]))
    row = technical_indicators(stopped, NO_SPLITS, sessions=[LAST]).row(0, named=True)
    then, now = bars["close"][-22 - missing], bars["close"][-1]
    assert row["return_1m"] == (pytest.approx(now / then - 1) if expected else None)
    assert row["return_3m"] is not None


def test_a_daily_run_and_a_backfill_give_the_same_bytes():
    bars = pl.concat([bars_of(1, DAYS, 1), bars_of(2, DAYS[::2], 2), bars_of(3, DAYS[300:], 3), bars_of(4, DAYS, 4)])
    splits = pl.concat([split(1, DAYS[-30], 4, 1), split(1, DAYS[-200], 3, 2), split(4, DAYS[-3], 1, 20)])
    sessions = DAYS[-12:]
    backfill = technical_indicators(bars, splits, sessions=sessions)
    for session in sessions:
        known = bars.filter(pl.col("session") <= session)
        windows = known.sort("session").group_by("security_id", maintain_order=True).tail(WINDOW)
        daily = technical_indicators(windows.sample(fraction=1, shuffle=True, seed=5), splits, sessions=[session])
        assert daily.equals(backfill.filter(pl.col("session") == session), null_equal=True)
        for name in COLUMNS:
            ours = daily[name].to_numpy(allow_copy=True).tobytes()
            assert ours == backfill.filter(pl.col("session") == session)[name].to_numpy(allow_copy=True).tobytes()


def test_one_securitys_row_does_not_depend_on_the_others():
    bars = pl.concat([bars_of(i, DAYS, i) for i in range(1, 8)])
    together = technical_indicators(bars, NO_SPLITS, sessions=[LAST])
    for security_id in range(1, 8):
        alone = technical_indicators(bars.filter(pl.col("security_id") == security_id), NO_SPLITS, sessions=[LAST])
        assert alone.equals(together.filter(pl.col("security_id") == security_id))


@settings(max_examples=25, deadline=None)
@given(
    numerator=st.sampled_from([2, 3, 4, 7, 10, 20, 1.5, 1.05, 1]),
    denominator=st.sampled_from([1, 2, 3, 8, 20]),
    before=st.integers(1, 390),
)
def test_a_split_changes_levels_by_its_ratio_and_no_ratio_indicator(numerator, denominator, before):
    """The traded series drops by the split; adjusted to the last session, it is the series without one."""
    smooth = bars_of(1, DAYS, 11)
    ex_date = DAYS[-before]
    ratio = numerator / denominator
    earlier = pl.col("session") < ex_date
    traded = smooth.with_columns(
        *(
            pl.when(earlier).then(pl.col(name) * ratio).otherwise(pl.col(name))
            for name in ("open", "high", "low", "close")
        ),
        pl.when(earlier).then(pl.col("volume") / ratio).otherwise(pl.col("volume")).alias("volume"),
    )
    with_split = technical_indicators(traded, split(1, ex_date, numerator, denominator), sessions=[LAST])
    without = technical_indicators(smooth, NO_SPLITS, sessions=[LAST])
    for name in COLUMNS:
        assert with_split[name][0] == pytest.approx(without[name][0], rel=1e-6, abs=1e-6), name


def test_a_split_announced_for_tomorrow_adjusts_nothing_today():
    bars = bars_of(1, DAYS, 5)
    tomorrow = split(1, date(2024, 7, 1), 10, 1)
    today = technical_indicators(bars, tomorrow, sessions=[LAST])
    assert today.equals(technical_indicators(bars, NO_SPLITS, sessions=[LAST]))


def test_bars_adjusted_as_of_a_day_are_used_as_they_are_up_to_that_day():
    bars = bars_of(1, DAYS, 6).with_columns(pl.lit(LAST).alias("adjusted_as_of"))
    past = split(1, DAYS[-100], 7, 1)
    row = technical_indicators(bars, past, sessions=[LAST])
    assert row.equals(technical_indicators(bars, NO_SPLITS, sessions=[LAST]))


def test_too_few_bars_are_null_and_no_trade_today_is_no_row():
    young = bars_of(1, DAYS[-30:], 1)
    absent = bars_of(2, DAYS[:-1], 2)
    rows = technical_indicators(pl.concat([young, absent]), NO_SPLITS, sessions=[LAST])
    assert rows["security_id"].to_list() == [1]
    row = rows.row(0, named=True)
    missing = {name for name in COLUMNS if row[name] is None}
    # 30 bars: MACD's signal needs 34, ADX 28, RSI 15, a 1-month return 22
    assert missing == {
        "sma_50", "sma_200", "macd", "macd_signal", "macd_histogram", "return_3m", "return_6m", "return_12m"
    }  # fmt: skip
    assert row["bars"] == 30
    assert rows.schema == TECHNICAL_INDICATORS


def test_a_spin_off_moves_prices_and_no_volumes():
    """Vernova's day (GE, 2024-04-02, told as 1253:1000) is no fall of a fifth, and nobody's shares became more."""
    bars = bars_of(1, DAYS)
    day = DAYS[-10]
    after = pl.col("session") >= day
    fallen = bars.with_columns(
        pl.when(after).then(pl.col(name) / 1.253).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )
    spun = split(1, day, 1253, 1000, "spin_off")
    before = technical_indicators(bars, NO_SPLITS, sessions=[LAST]).row(0, named=True)
    row = technical_indicators(fallen, spun, sessions=[LAST]).row(0, named=True)
    for name in ("return_1m", "return_12m", "rsi_14", "volatility_20", "obv", "volume_sma_20"):
        assert row[name] == pytest.approx(before[name], rel=1e-9), name
    shares = technical_indicators(fallen, split(1, day, 1253, 1000), sessions=[LAST]).row(0, named=True)
    assert shares["volume_sma_20"] > 1.05 * row["volume_sma_20"]


def test_a_single_bar_has_a_close_and_nothing_else():
    row = technical_indicators(bars_of(1, [LAST]), NO_SPLITS, sessions=[LAST]).row(0, named=True)
    assert {name for name in COLUMNS if row[name] is not None} == {"close", "obv"}
    assert row["obv"] == 0


def test_without_any_move_the_oscillators_are_missing_not_zero():
    flat = bars_of(1, DAYS).with_columns(*(pl.lit(5.0).alias(name) for name in ("open", "high", "low", "close")))
    row = technical_indicators(flat, NO_SPLITS, sessions=[LAST]).row(0, named=True)
    assert row["rsi_14"] is None
    assert row["stochastic_k"] is None
    assert row["volatility_20"] == 0
    assert row["return_12m"] == 0


def test_no_bars_at_all_give_an_empty_frame_of_the_tables_columns():
    empty = technical_indicators(bars_of(1, DAYS).clear(), NO_SPLITS, sessions=[LAST])
    assert empty.is_empty()
    assert empty.schema == TECHNICAL_INDICATORS
