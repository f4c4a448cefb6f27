"""What a close knew of each share -> metrics -> percentiles among peers -> scores.

In: frames of the queries sql/queries/score_*.sql, whose columns are named in `UNIVERSE`, `FINANCIALS`, `VALUATIONS`,
`INDICATORS`, `SPLITS`, `SPLITS_KNOWN` and in scores/standing.py; more columns are ignored. Out:
`closingbell.ic_scores` and `closingbell.score_inputs` without lineage. Several sessions at once give the same bytes as
one by one, in any order of rows.

Percentile: (mean rank - 0.5) / n * 100 among the n peers that have the metric, 100 best; ties share their mean rank, so
that one peer alone, or all peers alike, stand at 50. Peers are the session's universe in the same sector, or the whole
market where the sector is unknown or has fewer than `factors.MIN_PEERS` securities with the metric.
A factor is the mean of its metrics' percentiles; the overall score the weighted mean of the factors that have any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import reduce
from operator import add

import polars as pl

from closingbell.fundamentals.compute import QUARTER_GAP_DAYS
from closingbell.scores import standing
from closingbell.scores.factors import (
    FACTORS,
    GROWTH_SLACK_DAYS,
    GROWTH_YEARS,
    LOOKED_BACK_DAYS,
    METRICS,
    MIN_PEERS,
    STALE_DAYS,
    Metric,
    Source,
)
from closingbell.scores.standing import UTC, Columns

UNIVERSE: Columns = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "cik": pl.Int64,  # null: no statements
    "sector": pl.String,  # as known on the session; null: unknown
    "sector_assumed": pl.Boolean,  # the earliest known sector stands for one before it
    "close": pl.Float64,  # as traded; null where only an adjusted one is known
    "files_form_4": pl.Boolean,  # its insiders report their trades
}
"""score_universe.sql: the securities that are scored, one row a session."""

FINANCIALS: Columns = {
    "cik": pl.Int64,
    "period_end": pl.Date,
    "period_type": pl.String,
    "known_on": pl.Date,
    "known_at": UTC,
    "currency": pl.String,
    "eps_filed_on": pl.Date,  # whose split basis eps_diluted has; null: that of known_on
    **{
        name: pl.Float64
        for name in (
            "revenue", "eps_diluted", "free_cash_flow", "short_term_debt", "long_term_debt", "shareholders_equity",
            "gross_margin", "operating_margin", "net_margin", "roe", "roa", "debt_to_equity", "current_ratio",
            "interest_coverage",
        )
    },
}  # fmt: skip
"""score_financials.sql: versions of statement rows; what is known at a close is chosen here, a session at a time."""

VALUATIONS: Columns = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "market_cap": pl.Float64,
    "earnings_yield": pl.Float64,
    "book_yield": pl.Float64,
    "sales_yield": pl.Float64,
    "statement_period_end": pl.Date,
}
"""score_valuations.sql"""

INDICATORS: Columns = {
    "security_id": pl.Int64,
    "session": pl.Date,
    **{
        name: pl.Float64
        for name in (
            "close", "rsi_14", "macd_histogram", "sma_50", "adx_14", "return_1m", "return_3m", "return_6m",
            "return_12m",
        )
    },
}  # fmt: skip
"""score_indicators.sql"""

SPLITS: Columns = {
    "security_id": pl.Int64,
    "ex_date": pl.Date,
    "numerator": pl.Float64,  # new shares for `denominator` old ones
    "denominator": pl.Float64,
    "kind": pl.String,  # split, or spin_off: puts prices on another basis, and changes no number of shares
}
"""price_splits.sql"""

SPLITS_KNOWN: Columns = {
    "security_id": pl.Int64,
    "known_from": pl.Date,  # null, or no row: no day's splits are known
}
"""splits_known_from.sql"""

METRIC_ROWS: Columns = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "metric": pl.String,
    "raw": pl.Float64,  # finite; a metric that is missing has no row
    "source_key": pl.String,  # JSON array: the source row's table and key
}
"""What `metrics_from` gives and `scores` takes. Keys: [table, security_id, session] of valuation_ratios,
technical_indicators, analyst_consensus, insider_activity and sentiment_daily; ["institutional_ownership", security_id,
session, quarter]; ["insider_trades", security_id, first day, last day] for no trade between them; ["financials", cik,
period_end, period_type, known_on], and for growth the same followed by the earlier row's period_end, period_type,
known_on."""

IC_SCORES: Columns = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "overall_score": pl.Float64,
    "rating": pl.String,
    **{factor.name: pl.Float64 for factor in FACTORS},
    "sector": pl.String,
    "sector_assumed": pl.Boolean,
    "sector_rank": pl.Int64,
    "sector_size": pl.Int64,
    "sector_percentile": pl.Float64,
    "data_completeness": pl.Float64,
    "confidence": pl.String,
    "known_at": UTC,
}
SCORE_INPUTS: Columns = {"security_id": pl.Int64, "session": pl.Date, "inputs": pl.String}

RATINGS = ((80.0, "Strong Buy"), (65.0, "Buy"), (50.0, "Hold"), (35.0, "Underperform"))
"""Lowest stored score of each rating; below them all is Sell."""

MARKET = "market"
_ROW = ["session", "security_id"]


# -- metrics ----------------------------------------------------------------------------------------------------------


def metrics_from(
    universe: pl.DataFrame,
    *,
    financials: pl.DataFrame,
    valuations: pl.DataFrame,
    indicators: pl.DataFrame,
    splits: pl.DataFrame,
    splits_known: pl.DataFrame,
    consensus: pl.DataFrame,
    insiders: pl.DataFrame,
    ownership: pl.DataFrame,
    sentiment: pl.DataFrame,
    closes: Mapping[date, datetime],
) -> pl.DataFrame:
    """Rows `METRIC_ROWS` of the universe on the sessions of `closes` ({session: close in UTC}).

    Every row known after a session's close is invisible to it: statements by known_at, valuations and indicators by
    their session, the four others by both, splits by ex_date (they trade that morning). Rows of other securities are
    ignored.
    Raises ValueError naming a frame that lacks a column, or a session of the universe that has no close.
    """
    universe = _of("score_universe", universe, UNIVERSE)
    _closes_of(universe, closes)
    financials = _of("score_financials", financials, FINANCIALS).sort("known_at", "known_on")
    valuations = _of("score_valuations", valuations, VALUATIONS)
    indicators = _of("score_indicators", indicators, INDICATORS)
    splits = _of("price_splits", splits, SPLITS)
    of_shares = splits.filter(kind="split")
    splits_known = _of("splits_known_from", splits_known, SPLITS_KNOWN)
    consensus = _of("score_consensus", consensus, standing.CONSENSUS)
    insiders = _of("score_insiders", insiders, standing.INSIDERS)
    ownership = _of("score_ownership", ownership, standing.OWNERSHIP)
    sentiment = _of("score_sentiment", sentiment, standing.SENTIMENT)
    found = [pl.DataFrame(schema=METRIC_ROWS)]
    for session, close in sorted(closes.items()):
        listed = universe.filter(pl.col("session") == session)
        known = _as_of(financials, session, close)
        fresh = _fresh(known, session)
        current = known.join(fresh, on="cik").filter(_age(session) <= pl.col("stale_days"))
        rows = {
            Source.VALUATION: _valued(listed, valuations.filter(pl.col("session") == session), fresh, session),
            Source.TECHNICAL: listed.select(_ROW)
            .join(indicators.filter(pl.col("session") == session), on=_ROW)
            .with_columns(source_key=pl.format('["technical_indicators",{},"{}"]', "security_id", "session")),
            Source.FLOWS: _stated(listed, current, ("TTM", "FY")),
            Source.BALANCE: _stated(listed, current, ("Q", "FY")),
            Source.CONSENSUS: standing.consensus(listed, consensus, splits, session, close),
            Source.INSIDERS: standing.insiders(listed, insiders, valuations, session, close),
            Source.OWNERSHIP: standing.ownership(listed, ownership, session, close),
            Source.SENTIMENT: standing.sentiment(listed, sentiment, session, close),
        }
        for metric in METRICS.values():
            if metric.source is Source.GROWTH:
                found.append(_grown(metric, listed, known, fresh, of_shares, splits_known, session))
            elif metric.value is not None:
                found.append(_metric_rows(metric, rows[metric.source], metric.value))
    return pl.concat(found)


def _as_of(financials: pl.DataFrame, session: date, close: datetime) -> pl.DataFrame:
    """The newest version of each statement row known at `close`; `financials` is sorted by known_at."""
    return financials.filter((pl.col("known_at") <= close) & (pl.col("period_end") <= session)).unique(
        ["cik", "period_type", "period_end"], keep="last", maintain_order=True
    )


def _age(session: date, period_end: str = "period_end") -> pl.Expr:
    return (pl.lit(session) - pl.col(period_end)).dt.total_days()


def _fresh(known: pl.DataFrame, session: date) -> pl.DataFrame:
    """Companies whose newest statement is not stale: cik, stale_days (by how often the company reports)."""
    ends = (
        known.select("cik", "period_end")
        .filter(_age(session) <= LOOKED_BACK_DAYS)
        .unique()
        .sort("period_end", descending=True)
        .group_by("cik", maintain_order=True)
        .agg(
            pl.col("period_end").first(),
            gap=pl.col("period_end").get(0) - pl.col("period_end").get(1, null_on_oob=True),
        )
    )
    quarterly = pl.col("gap").dt.total_days().fill_null(0) <= QUARTER_GAP_DAYS
    return (
        ends.with_columns(stale_days=pl.when(quarterly).then(STALE_DAYS["quarters"]).otherwise(STALE_DAYS["years"]))
        .filter(_age(session) <= pl.col("stale_days"))
        .select("cik", pl.col("stale_days").cast(pl.Int64))
    )


def _newest(rows: pl.DataFrame, types: tuple[str, ...]) -> pl.DataFrame:
    """One row a company: the latest period end, the first of `types` where two end then."""
    order = pl.col("period_type").replace_strict({name: at for at, name in enumerate(types)}, return_dtype=pl.Int64)
    return (
        rows.filter(pl.col("period_type").is_in(types))
        .with_columns(order=order)
        .sort("cik", "period_end", "order", descending=[False, True, False])
        .unique("cik", keep="first", maintain_order=True)
        .drop("order")
    )


def _stated(listed: pl.DataFrame, current: pl.DataFrame, types: tuple[str, ...]) -> pl.DataFrame:
    return listed.join(_newest(current, types), on="cik").with_columns(
        source_key=pl.format('["financials",{},"{}","{}","{}"]', "cik", "period_end", "period_type", "known_on")
    )


def _valued(listed: pl.DataFrame, valuations: pl.DataFrame, fresh: pl.DataFrame, session: date) -> pl.DataFrame:
    return (
        listed.join(valuations, on=_ROW)
        .join(fresh, on="cik")
        .filter(_age(session, "statement_period_end") <= pl.col("stale_days"))
        .with_columns(source_key=pl.format('["valuation_ratios",{},"{}"]', "security_id", "session"))
    )


def _grown(
    metric: Metric,
    listed: pl.DataFrame,
    known: pl.DataFrame,
    fresh: pl.DataFrame,
    splits: pl.DataFrame,
    splits_known: pl.DataFrame,
    session: date,
) -> pl.DataFrame:
    """Compound annual growth of one item between two rows of a company, in one currency.

    The horizon is five years where a row ends that long before, else three; from the newest row, else from the newest
    year (a company's first filings tell its years, not the twelve months between them). Undefined, and so missing,
    unless both ends are positive: a rate across a sign change, or between two losses, says nothing (days / 365.25 make
    the years).
    """
    assert metric.item is not None
    basis = pl.coalesce("eps_filed_on", "known_on").alias("basis")
    columns = ["cik", "currency", "period_end", "period_type", "known_on", basis, pl.col(metric.item).alias("item")]
    has_item = pl.col(metric.item).is_not_null()
    # a year's earnings a share stand until the next year's: those of four quarters are seldom to be had
    limit = pl.when(pl.col("period_type") == "FY").then(STALE_DAYS["years"]).otherwise(pl.col("stale_days"))
    current = known.filter(has_item).join(fresh, on="cik").filter(_age(session) <= limit)
    newest = [_newest(current, types).select(columns) for types in (("TTM", "FY"), ("FY",))]
    last = pl.concat([rows.with_columns(choice=pl.lit(at)) for at, rows in enumerate(newest)])
    before = known.filter(has_item & pl.col("period_type").is_in(["TTM", "FY"])).select(columns)
    days = (pl.col("period_end") - pl.col("period_end_before")).dt.total_days()
    pairs = last.join(before, on=["cik", "currency"], suffix="_before").with_columns(days=days)
    horizons = [(pl.col("days") - years * 365.25).abs() for years in GROWTH_YEARS]
    near = [off <= GROWTH_SLACK_DAYS for off in horizons]
    pairs = (
        pairs.with_columns(
            horizon=pl.coalesce(*(pl.when(close).then(at) for at, close in enumerate(near))),
            off=pl.coalesce(*(pl.when(close).then(off) for close, off in zip(near, horizons, strict=True))),
            other_type=pl.col("period_type") != pl.col("period_type_before"),
        )
        .filter(pl.col("horizon").is_not_null())
        .sort("cik", "horizon", "choice", "off", "other_type", "period_end_before")
        .unique("cik", keep="first", maintain_order=True)
    )
    rows = listed.select(*_ROW, "cik").join(pairs, on="cik")
    if metric.per_share:
        one_filing = pl.col("basis") == pl.col("basis_before")
        known_since = pl.col("known_from") <= pl.min_horizontal("basis", "basis_before")
        rows = rows.join(splits_known, on="security_id", how="left").filter(one_filing | known_since)
        rows = rows.with_columns(
            item=pl.col("item") / standing.split_factor(rows, "basis", splits, session),
            item_before=pl.col("item_before") / standing.split_factor(rows, "basis_before", splits, session),
        )
    positive = (pl.col("item") > 0) & (pl.col("item_before") > 0)
    rate = (pl.col("item") / pl.col("item_before")).pow(365.25 / pl.col("days")) - 1
    keyed = rows.with_columns(
        source_key=pl.format(
            '["financials",{},"{}","{}","{}","{}","{}","{}"]',
            "cik", "period_end", "period_type", "known_on", "period_end_before", "period_type_before",
            "known_on_before",
        )
    )  # fmt: skip
    return _metric_rows(metric, keyed, pl.when(positive).then(rate))


def _metric_rows(metric: Metric, rows: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    # a quotient by zero is no number; what lies outside the bounds is an error of its source
    raw = pl.col("raw")
    return (
        rows.with_columns(metric=pl.lit(metric.name), raw=value.cast(pl.Float64))
        .select(list(METRIC_ROWS))
        .filter(raw.is_finite())
        .filter(_within(raw, pl.lit(metric.low, pl.Float64), pl.lit(metric.high, pl.Float64)))
    )


def _within(raw: pl.Expr, low: pl.Expr, high: pl.Expr) -> pl.Expr:
    return (low.is_null() | (raw >= low)) & (high.is_null() | (raw <= high))


# -- scores -----------------------------------------------------------------------------------------------------------


def scores(
    universe: pl.DataFrame, metrics: pl.DataFrame, closes: Mapping[date, datetime]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The frames `IC_SCORES` and `SCORE_INPUTS`, ordered by session and security_id.

    universe: rows `UNIVERSE`; metrics: rows `METRIC_ROWS`, those of securities outside the universe ignored; closes:
    {session: close in UTC} of every session in the universe. A security without any metric has no row in either frame.
    Raises ValueError for a repeated key, an undeclared metric, or a value that is null, not finite or out of bounds.
    """
    universe = _of("score_universe", universe, UNIVERSE)
    known_at = _closes_of(universe, closes)
    _unique("universe", universe, _ROW)
    ranked = _ranked(universe, _checked(metrics))
    wide = ranked.pivot("metric", on_columns=list(METRICS), index=_ROW, values="percentile", aggregate_function=None)
    factors = wide.select(*_ROW, *(_mean(factor.name, [m.name for m in factor.metrics]) for factor in FACTORS))
    present = {factor.name: pl.col(factor.name).is_not_null() for factor in FACTORS}
    # whole percents: sums of floats like .12 would miss the boundaries
    weight = pl.sum_horizontal(pl.when(present[f.name]).then(f.weight).otherwise(0) for f in FACTORS)
    total = _sum(pl.col(f.name).fill_null(0.0) * f.weight for f in FACTORS)
    scored = (
        factors.with_columns(weight=weight, overall=_quotient(total, weight))
        .with_columns(
            # Python's round is exact on the decimal; polars' multiplies first, and 49.995 (a double below it) is a Hold
            overall_score=pl.col("overall").map_batches(_rounded, return_dtype=pl.Float64),
            data_completeness=_quotient(pl.col("weight"), pl.lit(100)),
            confidence=pl.when(pl.col("weight") > 90)
            .then(pl.lit("High"))
            .when(pl.col("weight") >= 70)
            .then(pl.lit("Medium"))
            .otherwise(pl.lit("Low")),
        )
        .with_columns(rating=_rating(pl.col("overall_score")))
        .join(universe, on=_ROW)
        .join(known_at, on="session")
    )
    peers = pl.col("sector").is_not_null()
    group = ["session", "sector"]
    scored = scored.with_columns(
        sector_rank=pl.when(peers).then(pl.col("overall_score").rank("min", descending=True).over(group)),
        sector_size=pl.when(peers).then(pl.len().over(group)),
        sector_percentile=pl.when(peers).then(_percentile(pl.col("overall_score"), group)),
    )
    return (
        scored.select(pl.col(name).cast(dtype) for name, dtype in IC_SCORES.items()).sort(_ROW),
        _inputs(ranked),
    )


def unscored(universe: pl.DataFrame, ic_scores: pl.DataFrame) -> pl.DataFrame:
    """The universe's rows that no factor has data for, and so no score."""
    return universe.join(ic_scores, on=_ROW, how="anti").sort(_ROW)


def _checked(metrics: pl.DataFrame) -> pl.DataFrame:
    metrics = _of("metrics", metrics, METRIC_ROWS)
    _unique("metrics", metrics, [*_ROW, "metric"])
    if unknown := set(metrics["metric"].unique()) - set(METRICS):
        raise ValueError(f"metrics: {sorted(unknown)} are not declared in scores/factors.py")
    low, high = (
        pl.col("metric").replace_strict(
            list(METRICS), pl.Series(bounds, dtype=pl.Float64, strict=False), return_dtype=pl.Float64
        )
        for bounds in ([metric.low for metric in METRICS.values()], [metric.high for metric in METRICS.values()])
    )
    raw = pl.col("raw")
    wrong = metrics.filter(~(raw.is_finite() & _within(raw, low, high)).fill_null(False))
    if wrong.height:
        raise ValueError(
            f"metrics: {wrong.height} values are null, not finite or outside the bounds of scores/factors.py, the "
            f"first: {wrong.row(0, named=True)}; a missing metric has no row"
        )
    return metrics


def _ranked(universe: pl.DataFrame, metrics: pl.DataFrame) -> pl.DataFrame:
    """Each metric with peer_group, n and percentile, ordered by session, security_id and metric."""
    higher = {name: metric.higher_is_better for name, metric in METRICS.items()}
    floored = [name for name, metric in METRICS.items() if metric.negative_is_worst]
    raw = pl.col("raw")
    better = (
        pl.when(pl.col("metric").is_in(floored) & (raw < 0))
        .then(float("-inf"))
        .when(raw == 0)  # -0.0 and 0.0 are one value
        .then(0.0)
        .when(pl.col("metric").replace_strict(higher, return_dtype=pl.Boolean))
        .then(raw)
        .otherwise(-raw)
    )
    rows = metrics.join(universe.select(*_ROW, "sector"), on=_ROW).sort(*_ROW, "metric").with_columns(better=better)
    market, sector = ["session", "metric"], ["session", "metric", "sector"]
    in_sector = pl.col("sector").is_not_null() & (pl.len().over(sector) >= MIN_PEERS)
    return rows.with_columns(
        peer_group=pl.when(in_sector).then("sector").otherwise(pl.lit(MARKET)),
        n=pl.when(in_sector).then(pl.len().over(sector)).otherwise(pl.len().over(market)),
        percentile=pl.when(in_sector)
        .then(_percentile(pl.col("better"), sector))
        .otherwise(_percentile(pl.col("better"), market)),
    )


def _percentile(value: pl.Expr, group: Iterable[str]) -> pl.Expr:
    return _quotient(value.rank("average").over(group) - 0.5, pl.len().over(group)) * 100


def _quotient(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    """above / below, rounded once: polars multiplies by the reciprocal where it knows `below` to be one number, so that
    a session alone would have other last bits than among others."""

    def divided(of: Sequence[pl.Series]) -> pl.Series:
        return pl.Series(of[0].to_numpy() / of[1].to_numpy())

    return pl.map_batches([above, below], divided, return_dtype=pl.Float64)


def _mean(name: str, metrics: list[str]) -> pl.Expr:
    if not metrics:
        return pl.lit(None, pl.Float64).alias(name)
    count = pl.sum_horizontal(pl.col(metric).is_not_null().cast(pl.Int64) for metric in metrics)
    total = _sum(pl.col(metric).fill_null(0.0) for metric in metrics)
    return pl.when(count > 0).then(_quotient(total, count.clip(1))).alias(name)


def _sum(terms: Iterable[pl.Expr]) -> pl.Expr:
    """The terms one after the other: `sum_horizontal` adds them as its threads come, so that the last bits are others
    on a machine of other cores, and with many rows from run to run."""
    return reduce(add, terms)


def _rounded(overall: pl.Series) -> pl.Series:
    return pl.Series(overall.name, [max(1.0, round(x, 2)) for x in overall.to_list()], dtype=pl.Float64)


def _rating(score: pl.Expr) -> pl.Expr:
    rating = pl.lit("Sell")
    for least, name in reversed(RATINGS):
        rating = pl.when(score >= least).then(pl.lit(name)).otherwise(rating)
    return rating


def _inputs(ranked: pl.DataFrame) -> pl.DataFrame:
    # written as text, not through structs: every metric's array has four types in it
    named = ranked["peer_group"].unique().to_list()
    entry = pl.format(
        '"{}":[{},{},{},{},{}]',
        "metric",
        "raw",
        pl.col("peer_group").replace_strict({name: json.dumps(name) for name in named}, return_dtype=pl.String),
        "n",
        "percentile",
        "source_key",
    )
    return (
        ranked.select("security_id", "session", entry=entry)
        .group_by("session", "security_id", maintain_order=True)
        .agg(pl.col("entry").str.join(","))
        .select("security_id", "session", inputs=pl.concat_str(pl.lit("{"), "entry", pl.lit("}")))
        .cast(SCORE_INPUTS)  # type: ignore[arg-type]
    )


# -- frames -----------------------------------------------------------------------------------------------------------


def _of(name: str, frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    if missing := [column for column in columns if column not in frame.columns]:
        raise ValueError(f"{name}: column(s) {missing} are missing; it has {frame.columns}")
    return frame.select(pl.col(column).cast(dtype) for column, dtype in columns.items())


def _closes_of(universe: pl.DataFrame, closes: Mapping[date, datetime]) -> pl.DataFrame:
    if without := set(universe["session"].unique()) - set(closes):
        raise ValueError(f"score_universe: no close is given for {sorted(map(str, without))}")
    return pl.DataFrame(
        {"session": list(closes), "known_at": list(closes.values())}, schema={"session": pl.Date, "known_at": UTC}
    )


def _unique(name: str, frame: pl.DataFrame, key: list[str]) -> None:
    if frame.select(key).is_duplicated().any():
        first = frame.filter(frame.select(key).is_duplicated()).row(0, named=True)
        raise ValueError(f"{name}: {key} is not unique, for example {[str(first[column]) for column in key]}")
