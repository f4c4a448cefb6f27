"""Vendors' raw price answers to bars and corporate actions, keyed by ticker as the vendor sent it (house spelling).

In: the untouched bytes of one answer. Out: `Parsed` frames without lineage; dates are exchange days in New York.
Sources: Polygon's REST reference (grouped daily, splits, dividends) and flat-file columns (us_stocks_sip/day_aggs_v1),
Tiingo's end-of-day reference, Yahoo's chart answer (no public reference; fields as yfinance reads them), and the
`Date,Open,High,Low,Close,Volume,OpenInt` files of operators. A missing or unknown column is a ValueError naming
vendor, endpoint and column. Bars that cannot be (high < low, zero prices) pass: row rules name and quarantine them;
numbers that are none (NaN, infinities) become null, which a rule takes too; `problems` lists them.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import polars as pl

from closingbell.sessions import NEW_YORK
from closingbell.shapes import parser
from closingbell.universe.tickers import normal_ticker, normal_tickers

BARS: dict[str, Any] = {
    "ticker": pl.String,
    "session": pl.Date,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,
    "vwap": pl.Float64,
    "trades": pl.Int64,
    "source": pl.String,
    "adjusted_as_of": pl.Date,
}
ACTIONS: dict[str, Any] = {
    "ticker": pl.String,
    "ex_date": pl.Date,
    "kind": pl.String,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "amount": pl.Float64,
    "currency": pl.String,
    "dividend_type": pl.String,
    "declared_on": pl.Date,
    "source": pl.String,
}
PROBLEMS: dict[str, Any] = {"problem": pl.String, "key": pl.String, "detail": pl.String}
PRICES = ("open", "high", "low", "close")
FLOAT32 = 2.0**-23


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one answer held: `bars` (BARS), `actions` (ACTIONS), `problems` (PROBLEMS: what was left out and why)."""

    bars: pl.DataFrame
    actions: pl.DataFrame
    problems: pl.DataFrame


@parser("polygon grouped_daily")
def polygon_grouped_daily(body: bytes, *, answered_on: date, session: date | None = None) -> Parsed:
    """Polygon `/v2/aggs/grouped/locale/us/market/stocks/{session}`: every ticker's bar of one session.

    We ask unadjusted bars; an answer that says `"adjusted": true` all the same is on the split basis of the day it was
    given, `answered_on`. `session` is what was asked; None takes the bars' own day (a file somebody already has).
    """
    where = f"polygon grouped_daily {session or ''}".strip()
    answer = _object(body, where)
    _columns(
        where,
        answer,
        required={"adjusted", "queryCount", "resultsCount"},
        known={"adjusted", "queryCount", "resultsCount", "results", "status", "request_id", "count", "message"},
    )
    rows = answer.get("results") or []
    for name, kind in (("adjusted", bool), ("resultsCount", int), ("queryCount", int)):
        if not isinstance(answer[name], kind):
            raise ValueError(f"{where}: column {name} is {answer[name]!r}, no {kind.__name__}; fetch it again")
    if not isinstance(rows, list):
        raise ValueError(f"{where}: column results is a {type(rows).__name__}, no list; fetch it again")
    if answer["resultsCount"] != len(rows) or answer["queryCount"] < len(rows):
        raise ValueError(
            f"{where}: {len(rows)} results where it counts resultsCount {answer['resultsCount']} and queryCount "
            f"{answer['queryCount']}; the body is cut or mixed: fetch it again"
        )
    frame = _frame(
        where,
        rows,
        {"T": pl.String, **dict.fromkeys(("o", "h", "l", "c", "v", "vw"), pl.Float64), "t": pl.Int64, "n": pl.Int64},
        optional={"vw", "n"},
        ignored={"otc"},
    )
    bars = frame.select(
        normal_tickers(frame["T"]).alias("ticker"),
        _new_york_day(pl.from_epoch("t", "ms")).alias("session"),
        *(pl.col(short).alias(name) for short, name in zip("ohlcv", (*PRICES, "volume"), strict=True)),
        vwap="vw",
        trades="n",
        source=pl.lit("polygon"),
        adjusted_as_of=pl.lit(answered_on if answer["adjusted"] else None, dtype=pl.Date),
    )
    if session is not None and bars.filter(pl.col("session") != session).height:
        others = bars.filter(pl.col("session") != session)["session"].unique().sort().to_list()
        raise ValueError(f"{where}: bars of other days {others[:3]} in column t; this is not the session's answer")
    return _parsed(where, bars)


@parser("polygon day_aggregates")
def polygon_day_aggregates(body: bytes) -> Parsed:
    """Polygon's flat file of day aggregates (CSV, gzipped or not): unadjusted; `window_start` is ns of midnight."""
    where = "polygon day_aggregates"
    frame = _csv(
        body,
        where,
        {
            "ticker": pl.String,
            "volume": pl.Float64,
            **dict.fromkeys(("open", "close", "high", "low"), pl.Float64),
            "window_start": pl.Int64,
            "transactions": pl.Int64,
        },
    )
    bars = frame.select(
        normal_tickers(frame["ticker"]),
        _new_york_day(pl.from_epoch("window_start", "ns")).alias("session"),
        *PRICES,
        "volume",
        vwap=pl.lit(None, dtype=pl.Float64),
        trades="transactions",
        source=pl.lit("polygon"),
        adjusted_as_of=pl.lit(None, dtype=pl.Date),
    )
    return _parsed(where, bars)


@parser("tiingo daily")
def tiingo_daily(body: bytes, *, ticker: str | None = None, session: date | None = None) -> Parsed:
    """Tiingo end-of-day prices: of one `ticker`, or of all tickers (their own `ticker` column; `ticker` is None).

    Of all tickers' newest days, those that are not `session` are left out: a fund's is a day late, and tickers that
    ended keep their last day for years.

    Bars are the unadjusted columns; `divCash` (on the day's own basis) and `splitFactor` (new shares for one old one)
    of an ex-date become actions.
    """
    where = f"tiingo {'daily_all' if ticker is None else f'daily_prices {ticker}'}"
    rows = _load(body, where)
    if not isinstance(rows, list):
        raise ValueError(f"{where}: a list of days was expected, not {str(rows)[:200]}")
    schema: dict[str, Any] = {"date": pl.String}
    schema |= dict.fromkeys((*PRICES, "volume", "divCash", "splitFactor"), pl.Float64)
    if ticker is None:
        schema = {"ticker": pl.String, **schema}
    adjusted = {"adjOpen", "adjHigh", "adjLow", "adjClose", "adjVolume"}
    frame = _frame(where, rows, schema, ignored=adjusted | ({"ticker"} if ticker is not None else set()))
    tickers = normal_tickers(frame["ticker"]) if ticker is None else pl.lit(normal_ticker(ticker)).alias("ticker")
    frame = frame.with_columns(tickers, pl.col("date").str.slice(0, 10).str.to_date(strict=False).alias("session"))
    if session is not None:
        frame = frame.filter(pl.col("session") == session)
    bars = frame.select(
        "ticker",
        "session",
        *PRICES,
        "volume",
        vwap=pl.lit(None, dtype=pl.Float64),
        trades=pl.lit(None, dtype=pl.Int64),
        source=pl.lit("tiingo"),
        adjusted_as_of=pl.lit(None, dtype=pl.Date),
    )
    actual = frame.filter(
        pl.col("session").is_not_null() & pl.col("splitFactor").is_finite() & pl.col("divCash").is_finite()
    )
    splits = [
        _split_row(row["ticker"], row["session"], Fraction(row["splitFactor"]).limit_denominator(1000), "tiingo")
        for row in actual.filter((pl.col("splitFactor") != 1) & (pl.col("splitFactor") > 0)).iter_rows(named=True)
    ]
    dividends = [
        _dividend_row(row["ticker"], row["session"], row["divCash"], "tiingo")
        for row in actual.filter(pl.col("divCash") > 0).iter_rows(named=True)
    ]
    return _parsed(where, bars, splits + dividends)


@parser("yahoo chart")
def yahoo_chart(body: bytes, *, answered_on: date, asked_to: date | None = None, ticker: str | None = None) -> Parsed:
    """Yahoo chart answer of one ticker (daily, events=div,splits): bars as traded, splits and dividends.

    Yahoo's bars, volumes and dividends are on the split basis of the day of the answer. Every later split of the
    answer's events is undone as an exact fraction, and the price is set back on the grid of cents (or hundredths of
    one) that the vendor's 32-bit floats came from. Where the question ended before the day of the answer (`asked_to`),
    splits in between are not among the events: the bars then keep `adjusted_as_of = answered_on`. Days without a trade
    come as nulls and are left out. An error answer ("possibly delisted") is a ValueError, never evidence of delisting.
    """
    where = f"yahoo chart {ticker or ''}".strip()
    chart = _object(body, where).get("chart")
    if not isinstance(chart, dict) or not chart.get("result"):
        error = (chart or {}).get("error") if isinstance(chart, dict) else None
        raise ValueError(f"{where}: no result; Yahoo says {error}; ask again later, this is no evidence of delisting")
    result = chart["result"][0]
    meta = result.get("meta", {})
    symbol = normal_ticker(ticker or meta.get("symbol") or "")
    if not symbol:
        raise ValueError(f"{where}: column meta.symbol is missing and no ticker was given")
    if (currency := meta.get("currency", "USD")) != "USD":
        raise ValueError(f"{where}: bars in {currency} (meta.currency); only USD listings are loaded")
    stamps = result.get("timestamp") or []
    quote = (result.get("indicators", {}).get("quote") or [{}])[0]
    series = {name: quote.get(name, [] if not stamps else None) for name in (*PRICES, "volume")}
    for name, values in series.items():
        if values is None or len(values) != len(stamps):
            raise ValueError(f"{where}: column indicators.quote.{name} is missing or not as long as timestamp")
    frame = pl.DataFrame(
        {"session": [_day_of(stamp) for stamp in stamps], **series},
        schema={"session": pl.Date, **dict.fromkeys(series, pl.Float64)},
    )
    untraded = pl.all_horizontal(pl.col(name).is_null() for name in PRICES)
    frame = frame.filter(~untraded).unique("session", keep="last", maintain_order=True)

    events = result.get("events") or {}
    splits = sorted(
        (_day_of(event["date"]), _fraction(event["numerator"]) / _fraction(event["denominator"]))
        for event in (events.get("splits") or {}).values()
        if event["numerator"] and event["denominator"]
    )
    whole = asked_to is None or asked_to >= answered_on
    factors = [_later(splits, day) if whole else Fraction(1) for day in frame["session"]]
    if any(factor != 1 for factor in factors):
        up = pl.Series([float(f.numerator) for f in factors], dtype=pl.Float64)
        down = pl.Series([float(f.denominator) for f in factors], dtype=pl.Float64)
        frame = frame.with_columns(
            *(frame[name] * up / down for name in PRICES), (frame["volume"] * down / up).round(0).alias("volume")
        )
    if whole:
        frame = frame.with_columns(_on_the_grid(pl.col(name)) for name in PRICES)
    bars = frame.select(
        pl.lit(symbol).alias("ticker"),
        "session",
        *PRICES,
        "volume",
        vwap=pl.lit(None, dtype=pl.Float64),
        trades=pl.lit(None, dtype=pl.Int64),
        source=pl.lit("yahoo"),
        adjusted_as_of=pl.lit(None if whole else answered_on, dtype=pl.Date),
    )
    actions = [_split_row(symbol, day, ratio, "yahoo") for day, ratio in splits]
    if whole:
        for event in (events.get("dividends") or {}).values():
            day = _day_of(event["date"])
            factor = _later(splits, day)
            amount = round(event["amount"] * factor.numerator / factor.denominator, 6)
            actions.append(_dividend_row(symbol, day, amount, "yahoo"))
    return _parsed(where, bars, actions)


@parser("operator bars_csv")
def bars_csv(body: bytes, *, ticker: str, adjusted_as_of: date | None = None) -> Parsed:
    """An operator's `Date,Open,High,Low,Close,Volume[,OpenInt]` file of one ticker.

    Such files are adjusted for splits and dividends: as of `adjusted_as_of`, else of their own last day.
    """
    where = f"operator bars_csv {ticker}"
    frame = _csv(
        body,
        where,
        {"Date": pl.String, **dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), pl.Float64)},
        ignored={"OpenInt"},
    )
    try:
        days = frame["Date"].str.to_date("%Y-%m-%d")
    except pl.exceptions.InvalidOperationError as error:
        raise ValueError(f"{where}: column Date must be YYYY-MM-DD: {error}") from error
    bars = frame.select(
        pl.lit(normal_ticker(ticker)).alias("ticker"),
        days.alias("session"),
        *(pl.col(name.title()).alias(name) for name in (*PRICES, "volume")),
        vwap=pl.lit(None, dtype=pl.Float64),
        trades=pl.lit(None, dtype=pl.Int64),
        source=pl.lit("operator"),
        adjusted_as_of=pl.lit(adjusted_as_of or days.max(), dtype=pl.Date),
    )
    return _parsed(where, bars)


@parser("polygon splits")
def polygon_splits(body: bytes) -> Parsed:
    """One page of Polygon `/v3/reference/splits`: `split_to` shares for `split_from` old ones on `execution_date`."""
    where = "polygon splits"
    frame = _frame(
        where,
        _results(body, where),
        {"ticker": pl.String, "execution_date": pl.String, "split_from": pl.Float64, "split_to": pl.Float64},
        ignored={"id"},
    )
    actions = [
        {
            "ticker": normal_ticker(row["ticker"]),
            "ex_date": date.fromisoformat(row["execution_date"]),
            "kind": "split",
            "numerator": row["split_to"],
            "denominator": row["split_from"],
            "source": "polygon",
        }
        for row in frame.iter_rows(named=True)
    ]
    return _parsed(where, pl.DataFrame(schema=BARS), actions)


@parser("polygon dividends")
def polygon_dividends(body: bytes) -> Parsed:
    """One page of Polygon `/v3/reference/dividends`: cash a share on the basis of the ex-date."""
    where = "polygon dividends"
    frame = _frame(
        where,
        _results(body, where),
        {
            "ticker": pl.String,
            "ex_dividend_date": pl.String,
            "cash_amount": pl.Float64,
            "currency": pl.String,
            "declaration_date": pl.String,
            "dividend_type": pl.String,
        },
        optional={"currency", "declaration_date", "dividend_type"},
        ignored={"id", "frequency", "pay_date", "record_date"},
    )
    actions = [
        _dividend_row(
            normal_ticker(row["ticker"]),
            date.fromisoformat(row["ex_dividend_date"]),
            row["cash_amount"],
            "polygon",
            currency=row["currency"] or "USD",
            dividend_type=row["dividend_type"],
            declared_on=date.fromisoformat(row["declaration_date"]) if row["declaration_date"] else None,
        )
        for row in frame.iter_rows(named=True)
    ]
    return _parsed(where, pl.DataFrame(schema=BARS), actions)


def _parsed(where: str, bars: pl.DataFrame, actions: Sequence[dict[str, Any]] = ()) -> Parsed:
    numbers = (*PRICES, "volume")
    whole = pl.all_horizontal(pl.col(name).is_finite().fill_null(False) for name in numbers)
    keyed = pl.col("ticker").is_not_null() & pl.col("session").is_not_null()
    problems = bars.filter(~whole | ~keyed).select(
        problem=pl.when(keyed).then(pl.lit("not_a_number")).otherwise(pl.lit("no_key")),
        key=pl.format("{} {}", pl.col("ticker").fill_null("?"), pl.col("session").cast(pl.String).fill_null("?")),
        detail=pl.when(keyed)
        .then(pl.lit(f"{where}: open, high, low, close or volume is null, NaN or infinite; the audit takes the bar"))
        .otherwise(pl.lit(f"{where}: a bar without ticker or day; left out")),
    )
    finite = [pl.when(pl.col(name).is_finite()).then(pl.col(name)) for name in (*numbers, "vwap")]
    kept = bars.filter(keyed).with_columns(finite).select(_typed(BARS))
    return Parsed(kept, pl.DataFrame(list(actions), schema=ACTIONS), problems.select(_typed(PROBLEMS)))


def _typed(schema: dict[str, Any]) -> list[pl.Expr]:
    return [pl.col(name).cast(dtype) for name, dtype in schema.items()]


def _load(body: bytes, where: str) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise ValueError(
            f"{where}: the body is not JSON ({error}); it was cut or is an error page: fetch it again"
        ) from error


def _object(body: bytes, where: str) -> dict[str, Any]:
    answer = _load(body, where)
    if not isinstance(answer, dict):
        raise ValueError(f"{where}: a JSON object was expected, not a {type(answer).__name__}")
    return answer


def _results(body: bytes, where: str) -> list[dict[str, Any]]:
    answer = _object(body, where)
    _columns(
        where,
        answer,
        required=set(),
        known={"results", "status", "request_id", "next_url", "count", "message", "queryCount"},
    )
    if "results" not in answer and answer.get("status") not in ("OK", "DELAYED"):
        raise ValueError(f"{where}: column results is missing and status is {answer.get('status')!r}")
    return answer.get("results") or []


def _columns(where: str, present: Iterable[str], *, required: set[str], known: set[str]) -> None:
    present = set(present)
    if missing := required - present:
        raise ValueError(f"{where}: column {', '.join(sorted(missing))} is missing; it has {sorted(present)}")
    if unknown := present - required - known:
        raise ValueError(f"{where}: column {', '.join(sorted(unknown))} is unknown; say in the parser what it means")


def _frame(
    where: str,
    rows: list[dict[str, Any]],
    schema: dict[str, Any],
    *,
    optional: Iterable[str] = (),
    ignored: Iterable[str] = (),
) -> pl.DataFrame:
    optional, ignored = set(optional), set(ignored)
    required = set(schema) - optional
    known = set(schema) | ignored
    for row in rows:
        if not isinstance(row, dict):
            raise ValueError(f"{where}: a result is no object: {str(row)[:100]}")
        if not (required <= row.keys() <= known):
            _columns(where, row, required=required, known=known)
    try:
        return pl.DataFrame({name: [row.get(name) for row in rows] for name in schema}, schema=schema, strict=False)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{where}: a column has another type than {schema}: {error}") from error


def _csv(body: bytes, where: str, schema: dict[str, Any], *, ignored: Iterable[str] = ()) -> pl.DataFrame:
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    body = body.removeprefix(b"\xef\xbb\xbf")
    header = body.split(b"\n", 1)[0].decode("utf-8", "replace").strip().split(",")
    _columns(where, header, required=set(schema), known=set(ignored))
    try:
        return pl.read_csv(io.BytesIO(body), columns=list(schema), schema_overrides=schema, infer_schema=False).select(
            list(schema)
        )
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{where}: a column has another type than {schema}: {error}") from error


def _new_york_day(stamp: pl.Expr) -> pl.Expr:
    return stamp.dt.replace_time_zone("UTC").dt.convert_time_zone(str(NEW_YORK)).dt.date()


def _day_of(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).astimezone(NEW_YORK).date()


def _fraction(number: float) -> Fraction:
    # the decimal the vendor wrote, not its binary neighbour: 1.05 is 21/20
    return Fraction(repr(float(number)))


def _later(splits: Iterable[tuple[date, Fraction]], day: date) -> Fraction:
    factor = Fraction(1)
    for ex_date, ratio in splits:
        if ex_date > day:
            factor *= ratio
    return factor


def _on_the_grid(price: pl.Expr) -> pl.Expr:
    # Yahoo serves doubles of 32-bit floats: 499.230011 stands for 499.23. Anything farther off is left as it is.
    return (
        pl.when((price.round(2) - price).abs() <= price * FLOAT32)
        .then(price.round(2))
        .when((price.round(4) - price).abs() <= price * FLOAT32)
        .then(price.round(4))
        .otherwise(price)
    )


def _split_row(ticker: str, ex_date: date, ratio: Fraction, source: str) -> dict[str, Any]:
    return {
        "ticker": ticker,
        "ex_date": ex_date,
        "kind": "split",
        "numerator": float(ratio.numerator),
        "denominator": float(ratio.denominator),
        "source": source,
    }


def _dividend_row(ticker: str, ex_date: date, amount: float, source: str, **more: Any) -> dict[str, Any]:
    row = {"ticker": ticker, "ex_date": ex_date, "kind": "dividend", "amount": amount, "source": source}
    return {"currency": "USD", **row, **more}
