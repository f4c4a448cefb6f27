"""Recorded prices and recorded vendor bodies through the prices room."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from closingbell.prices import compute, parse
from closingbell.prices.indicators import technical_indicators
from fixtures.plain_indicators import plain

pytestmark = pytest.mark.real

MOCKS = "polygon/client_python_mocks"
NO_SPLITS = pl.DataFrame(
    schema={
        "security_id": pl.Int64, "ex_date": pl.Date, "kind": pl.String, "numerator": pl.Float64,
        "denominator": pl.Float64,
    }
)  # fmt: skip


def recorded(recordings: Path, path: str) -> bytes:
    file = recordings / path
    if not file.is_file():
        pytest.skip(f"not recorded here: {path}")
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def history(tickers: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {"ticker": tickers, "valid_from": [date(1962, 1, 2)] * len(tickers), "valid_to": [None] * len(tickers)},
        schema_overrides={"valid_to": pl.Date},
    ).with_row_index("security_id").with_columns(pl.col("security_id").cast(pl.Int64))  # fmt: skip


def test_indicators_of_recorded_apple_equal_their_plain_definitions(recordings):
    body = recorded(recordings, "prices/stocks/AAPL.csv.gz")
    bars = compute.stock_prices(parse.bars_csv(body, ticker="AAPL").bars, history(["AAPL"]), final=True).rows
    sessions = [date(2017, 11, 10), date(2014, 6, 9), date(2008, 10, 10)]
    rows = technical_indicators(bars, NO_SPLITS, sessions=sessions)
    assert rows["session"].to_list() == sorted(sessions)
    for row in rows.iter_rows(named=True):
        window = bars.filter(pl.col("session") <= row["session"]).sort("session").tail(400)
        for name, value in plain(window).items():
            assert row[name] == pytest.approx(value, rel=1e-8, abs=1e-9), (row["session"], name)
    # the file's last line: 2017-11-10,175.11,175.38,174.27,174.67,25130494,0
    assert rows.filter(pl.col("session") == date(2017, 11, 10))["close"][0] == 174.67


def test_recorded_prices_keep_the_day_they_are_adjusted_as_of(recordings):
    parsed = parse.bars_csv(recorded(recordings, "prices/stocks/BRK-B.csv.gz"), ticker="BRK-B")
    assert parsed.bars["ticker"].unique().to_list() == ["BRK.B"]
    assert parsed.bars["adjusted_as_of"].unique().to_list() == [date(2017, 11, 10)]
    assert parsed.bars.filter(pl.col("session") == date(2017, 11, 10))["close"][0] == 183.68  # the file's last line


def test_every_recorded_price_file_is_read(recordings):
    files = sorted((recordings / "prices/stocks").glob("*.csv.gz"))
    if not files:
        pytest.skip("no prices/stocks in these recordings")
    for file in files:
        ticker = file.name.removesuffix(".csv.gz")
        parsed = parse.bars_csv(gzip.decompress(file.read_bytes()), ticker=ticker)
        assert parsed.bars.height >= 10, ticker
        assert parsed.bars["session"].is_unique().all(), ticker


def test_the_recorded_shopify_split_twice_is_one_split(recordings):
    """polygon-io/issues#324: SHOP 10:1 on 2022-06-22 and on 2022-06-29; it traded split from the 29th."""
    actions = parse.polygon_splits(recorded(recordings, f"{MOCKS}/v3/reference/splits.json")).actions
    assert actions.filter(pl.col("ticker") == "SHOP")["ex_date"].to_list() == [date(2022, 6, 29), date(2022, 6, 22)]
    mapped = compute.corporate_actions(actions, history(sorted(set(actions["ticker"]))))
    shop = history(sorted(set(actions["ticker"]))).filter(pl.col("ticker") == "SHOP")["security_id"][0]
    assert mapped.rows.filter(pl.col("security_id") == shop)["ex_date"].to_list() == [date(2022, 6, 29)]
    assert mapped.problems["problem"].to_list() == ["repeated_split"]
    # GOOGL and GOOG, 20 for 1 on 2022-07-18, both stay
    assert mapped.rows.filter(pl.col("ex_date") == date(2022, 7, 18))["numerator"].to_list() == [20.0, 20.0]


def test_recorded_grouped_daily_says_adjusted_and_is_believed(recordings):
    path = f"{MOCKS}/v2/aggs/grouped/locale/us/market/stocks/2005-04-04&adjusted=true.json"
    parsed = parse.polygon_grouped_daily(recorded(recordings, path), answered_on=date(2022, 5, 1))
    row = parsed.bars.row(0, named=True)
    # {"T": "GIK", "v": 895345, "o": 9.99, "c": 10.02, "t": 1602705600000 = 2020-10-14 16:00 New York, "n": 96}
    assert (row["ticker"], row["session"], row["close"], row["trades"]) == ("GIK", date(2020, 10, 14), 10.02, 96)
    assert row["adjusted_as_of"] == date(2022, 5, 1)


def test_recorded_polygon_dividends_are_known_by_the_close_before_their_ex_date(recordings):
    actions = parse.polygon_dividends(recorded(recordings, f"{MOCKS}/v3/reference/dividends.json")).actions
    mapped = compute.corporate_actions(actions, history(sorted(set(actions["ticker"]))))
    assert mapped.rows.height == actions.height
    # CSSEN declared 2020-09-09: known at 16:00 New York (20:00 UTC) that day, years before the ex-dates
    known = mapped.rows.filter(pl.col("ex_date") == date(2025, 6, 12))["known_at"][0]
    assert known.isoformat() == "2020-09-09T20:00:00+00:00"


def test_recorded_tiingo_days_are_the_unadjusted_columns(recordings):
    parsed = parse.tiingo_daily(
        recorded(recordings, "tiingo/python_client_vcr/ticker_price_with_date_0.json"), ticker="GOOGL"
    )
    assert parsed.bars["session"].to_list() == [date(2015, 1, 2), date(2015, 1, 5)]
    assert parsed.bars["close"].to_list() == [529.55, 519.46]
    assert parsed.actions.is_empty()


def test_a_tiingo_answer_of_other_columns_names_what_is_missing(recordings):
    body = recorded(recordings, "tiingo/python_client_vcr/ticker_price_with_multiple_columns_0.json")
    with pytest.raises(ValueError, match=r"tiingo daily_prices AAPL: column divCash, splitFactor is missing"):
        parse.tiingo_daily(body, ticker="AAPL")


def test_recorded_unadjusted_apple_adjusted_for_its_2014_split_is_the_vendors_own(recordings):
    """WIKI's AAPL of 2014: 7 for 1 on 2014-06-09; adjusted volume is the traded one times 7 before it."""
    import io
    import zipfile

    archive = recordings / "prices/zipline/QUANDL_ARCHIVE.zip"
    if not archive.is_file():
        pytest.skip("not recorded here: prices/zipline/QUANDL_ARCHIVE.zip")
    with zipfile.ZipFile(archive) as members:
        frame = pl.read_csv(io.BytesIO(members.read(members.namelist()[0])), infer_schema_length=10000)
    apple = frame.filter(pl.col("ticker") == "AAPL").with_columns(pl.col("date").str.to_date().alias("session"))
    if apple.filter(pl.col("split_ratio") != 1).is_empty():
        pytest.skip("this archive has no AAPL split")
    bars = apple.select(
        pl.lit(0, dtype=pl.Int64).alias("security_id"), "session", "open", "high", "low", "close", "volume",
        pl.lit(None, dtype=pl.Date).alias("adjusted_as_of"),
    )  # fmt: skip
    found = apple.filter(pl.col("split_ratio") != 1)
    splits = found.select(
        pl.lit(0, dtype=pl.Int64).alias("security_id"), pl.col("session").alias("ex_date"),
        pl.col("split_ratio").alias("numerator"), pl.lit(1.0).alias("denominator"),
    )  # fmt: skip
    adjusted = compute.adjusted(bars, splits, basis=apple["session"].max())
    assert adjusted["volume"].to_list() == pytest.approx(apple["adj_volume"].to_list())
    # 2014-01-02 closed at 553.13: 79.0186 on the split basis of the end of the year
    first = adjusted.filter(pl.col("session") == date(2014, 1, 2))["close"][0]
    assert first == 553.13 / 7
