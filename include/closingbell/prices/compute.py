"""Bars and corporate actions keyed by security; splits on one basis; checks that catch an unseen split.

In: `prices.parse` frames (by ticker) and warehouse frames: ticker_history (ticker, valid_from, valid_to,
security_id), splits (security_id, ex_date, numerator, denominator), stored bars. Out: rows of stock_prices and
corporate_actions without lineage, what was not mapped, and problems (problem, key, detail).

Splits are exact fractions. A bar of day t is on the basis of t (or of `adjusted_as_of`, where its vendor had no
unadjusted bars); on the basis of session S its price is multiplied by denominator/numerator, and its volume by the
inverse, of every split with ex_date in (that day, S]. A spin-off (see `is_spin_off`) moves prices as a split does, and
counts no shares. Dividends adjust nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from closingbell import sessions
from closingbell.prices.parse import ACTIONS, BARS, PRICES, PROBLEMS

STOCK_PRICES: dict[str, Any] = {
    "security_id": pl.Int64,
    **{name: dtype for name, dtype in BARS.items() if name not in ("ticker", "source", "adjusted_as_of")},
    "source": pl.String,
    "final": pl.Boolean,
    "adjusted_as_of": pl.Date,
}
CORPORATE_ACTIONS: dict[str, Any] = {
    "security_id": pl.Int64,
    "ex_date": pl.Date,
    "kind": pl.String,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "amount": pl.Float64,
    "currency": pl.String,
    "known_at": pl.Datetime("us", "UTC"),
    "source": pl.String,
}
EVIDENCE: dict[str, Any] = {"landing_id": pl.Int64, "fetched_at": pl.Datetime("us", "UTC"), "question": pl.String}
"""Which answer an action comes from; the pages of one answer have the same question."""
REPEATED_WITHIN_DAYS = 14
"""Two equal splits of one ticker this close are one split reported twice (SHOP 10:1 on 2022-06-22 and 2022-06-29)."""
PRICE_KINDS = ("split", "spin_off")
"""Actions that set earlier prices on another basis (price_splits.sql); splits alone change numbers of shares."""
TELLING_RATIO = 1.4
"""Smaller splits (stock dividends) cannot be told from a day's move by prices."""
UNSEEN_RATIO = 1.45
"""A close this many times another, or the inverse, is looked at as a possible split."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """`rows` by security; `unmapped` as they came (tickers that no security bore that day); `problems` (PROBLEMS)."""

    rows: pl.DataFrame
    unmapped: pl.DataFrame
    problems: pl.DataFrame


def stock_prices(bars: pl.DataFrame, ticker_history: pl.DataFrame, *, final: bool) -> Mapped:
    """Bars (BARS) as rows of stock_prices, each ticker read as the security that bore it on the bar's session.

    Unmapped are garbage tickers of grouped answers and securities outside the universe. A bar of a day on which XNYS
    was closed is a problem and no row. Two different bars of one security and session are both rows and a problem: the
    audit quarantines them, as nobody can decide.
    """
    on_a_session = _on_a_session(bars["session"])
    closed = bars.filter(~on_a_session)
    mapped, unmapped = map_tickers(bars.filter(on_a_session), ticker_history, on="session")
    rows = mapped.with_columns(pl.lit(final).alias("final")).unique(
        ["security_id", "session", *PRICES, "volume"], keep="first", maintain_order=True
    )
    twice = mapped.filter(pl.struct("security_id", "session").is_duplicated() & ~_equal_rows(mapped))
    problems = twice.select(
        problem=pl.lit("two_bars"),
        key=pl.format("{} {}", "ticker", "session"),
        detail=pl.format("security {} has two different bars for the session; the audit takes both", "security_id"),
    )
    shut = closed.select(
        problem=pl.lit("no_session"),
        key=pl.format("{} {}", "ticker", "session"),
        detail=pl.lit("XNYS was closed that day; the bar is left out"),
    )
    return Mapped(_typed(rows, STOCK_PRICES), unmapped, _typed(pl.concat([problems, shut]), PROBLEMS))


def map_tickers(frame: pl.DataFrame, ticker_history: pl.DataFrame, *, on: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows with `security_id`, rows without one): the security that bore `ticker` on the day in column `on`."""
    history = ticker_history.select("ticker", "valid_from", "valid_to", "security_id").sort("ticker", "valid_from")
    joined = (
        frame.with_row_index("row_")
        .sort("ticker", on)
        .join_asof(history, left_on=on, right_on="valid_from", by="ticker", strategy="backward", check_sortedness=False)
    )
    held = pl.col("security_id").is_not_null() & (pl.col("valid_to").is_null() | (pl.col(on) <= pl.col("valid_to")))
    joined = joined.with_columns(held.alias("held_")).sort("row_")
    mapped = joined.filter("held_").drop("row_", "held_", "valid_from", "valid_to")
    return mapped, joined.filter(~pl.col("held_")).select(frame.columns)


def corporate_actions(
    actions: pl.DataFrame,
    ticker_history: pl.DataFrame,
    *,
    bars: pl.DataFrame | None = None,
) -> Mapped:
    """Vendor actions (ACTIONS) as rows of corporate_actions; wrong and repeated splits are problems, not rows.

    A vendor's split that `is_spin_off` is a row of that kind.

    A ticker is the security that bore it on the ex-date; vendors key old actions by today's ticker too, so where
    nobody bore it then, the next security that did. `bars` (security_id, session, close, adjusted_as_of: unadjusted
    bars around the ex-dates, where there are any) are the evidence between two splits that cannot both be: without
    them the later of a repeated pair stands, and two different splits on one day both stay out. Dividends of one day
    and security add up, those of one question: a later answer corrects an earlier one. Where `actions` have EVIDENCE,
    each row has the landing_id and fetched_at of its own answer, the newest of those that say it.

    known_at: the declaration at 16:00 New York where the vendor gives it and it is before the ex-date, else the close
    of the session before the ex-date.
    """
    mapped, unmapped = _map_actions(actions, ticker_history)
    problems: list[dict[str, Any]] = []
    evidence = _Evidence(bars)
    rows = [
        *_splits(mapped.filter(pl.col("kind") == "split"), evidence, problems),
        *_dividends(mapped.filter(pl.col("kind") == "dividend"), problems),
    ]
    for row in rows:
        row["known_at"] = _known_at(row["ex_date"], row.pop("declared_on"))
    lineage = {name: dtype for name, dtype in EVIDENCE.items() if name in actions.columns and name != "question"}
    frame = pl.DataFrame(rows, schema=CORPORATE_ACTIONS | lineage).sort("security_id", "ex_date", "kind")
    return Mapped(frame, unmapped, pl.DataFrame(problems, schema=PROBLEMS))


def check_overlap(new: pl.DataFrame, stored: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Problems (PROBLEMS) that new bars show against stored ones; run at every append, before publishing.

    new, stored: rows of stock_prices; splits: those in force. `unseen_split` (sessions in both whose closes differ by
    one simple ratio such as 0.5, 0.1 or 3: the vendor adjusted its history), and `possible_split` (the first new close
    against the last stored one is such a ratio and no split explains it).
    """
    problems = []
    basis = pl.col("adjusted_as_of").is_null()
    both = new.filter(basis).join(stored.filter(basis), on=["security_id", "session"], suffix="_stored")
    both = both.filter((pl.col("close") > 0) & (pl.col("close_stored") > 0))
    shared = both.group_by("security_id").agg(
        (pl.col("close") / pl.col("close_stored")).median().alias("ratio"),
        pl.len().alias("sessions"),
        pl.col("session").min().alias("first"),
    )
    for row in shared.sort("security_id").iter_rows(named=True):
        if (simple := _simple_ratio(row["ratio"], within=0.005)) is not None:
            problems.append(
                {
                    "problem": "unseen_split",
                    "key": f"security {row['security_id']} from {row['first']}",
                    "detail": f"{row['sessions']} sessions come at {row['ratio']:.4g} times the stored close "
                    f"({simple}): the vendor adjusted its history for a split we do not have; load splits, then fetch "
                    "the bars again",
                }
            )
    problems += _appended(new.filter(basis), stored.filter(basis), splits)
    return pl.DataFrame(problems, schema=PROBLEMS)


def split_fractions(splits: pl.DataFrame) -> dict[int, list[tuple[date, Fraction]]]:
    """{security_id: [(ex_date, new shares for one old share)]}, oldest first."""
    found: dict[int, list[tuple[date, Fraction]]] = {}
    for row in splits.sort("security_id", "ex_date").iter_rows(named=True):
        if row["numerator"] and row["denominator"]:
            ratio = exact(row["numerator"]) / exact(row["denominator"])
            found.setdefault(row["security_id"], []).append((row["ex_date"], ratio))
    return found


def factor(splits: Iterable[tuple[date, Fraction]], after: date, upto: date) -> Fraction:
    """New shares for one old share by the splits with after < ex_date <= upto."""
    product = Fraction(1)
    for ex_date, ratio in splits:
        if after < ex_date <= upto:
            product *= ratio
    return product


def is_spin_off(ratio: Fraction) -> bool:
    """Whether a vendor's split is the price of a business given away: new shares for old ones come in small numbers.

    Yahoo and Polygon tell spin-offs as splits at the prices' ratio: GE 1253:1000 (Vernova), IBM 1046:1000 (Kyndryl).
    Splits are n for 1 to 20 (3:2, 21:20), stock dividends up to a tenth come in half per cents (103:100), a new class
    given to every share is nearly a whole split (Alphabet's 1001:500); a spin-off at such a ratio cannot be told (GE
    26:25, Wabtec). Below 1 it is a merger of shares, or an exchange.
    """
    small = ratio.denominator <= 20 or (ratio <= Fraction(11, 10) and 200 % ratio.denominator == 0)
    nearly_whole = ratio > Fraction(3, 2) and abs(ratio / round(ratio) - 1) <= Fraction(1, 100)
    return ratio > 1 and not small and not nearly_whole


def exact(number: float) -> Fraction:
    """The decimal that was written, not its binary neighbour: 1.05 is 21/20."""
    return Fraction(repr(float(number)))


def adjusted(bars: pl.DataFrame, splits: pl.DataFrame, *, basis: date) -> pl.DataFrame:
    """The bars on the split basis of `basis`: prices (and vwap) down, volume up, where a split follows.

    A bar later than `basis` is put back on it.
    """
    by_security = split_fractions(splits)
    if not by_security or bars.is_empty():
        return bars
    touched = bars.filter(pl.col("security_id").is_in(list(by_security)))
    keys = (
        touched.select("security_id", pl.max_horizontal("session", "adjusted_as_of").alias("own_basis"))
        .unique()
        .sort("security_id", "own_basis")
    )
    factors = []
    for security_id, own in keys.iter_rows():
        ratio = factor(by_security[security_id], own, basis) / factor(by_security[security_id], basis, own)
        factors.append((float(ratio.numerator), float(ratio.denominator)))
    keys = keys.with_columns(
        pl.Series("up_", [up for up, _ in factors], dtype=pl.Float64),
        pl.Series("down_", [down for _, down in factors], dtype=pl.Float64),
    )
    joined = bars.with_columns(pl.max_horizontal("session", "adjusted_as_of").alias("own_basis")).join(
        keys, on=["security_id", "own_basis"], how="left", maintain_order="left"
    )
    up, down = pl.col("up_").fill_null(1.0), pl.col("down_").fill_null(1.0)
    prices = [name for name in (*PRICES, "vwap") if name in bars.columns]
    volumes = [name for name in ("volume",) if name in bars.columns]
    return joined.with_columns(
        *(pl.col(name) * down / up for name in prices), *(pl.col(name) * up / down for name in volumes)
    ).select(bars.columns)


class _Evidence:
    """What unadjusted closes say about a split: the ratio of the first close from the ex-date to the last before it."""

    def __init__(self, bars: pl.DataFrame | None) -> None:
        self._closes: dict[int, tuple[list[date], list[float]]] = {}
        if bars is None or bars.is_empty():
            return
        unadjusted = bars.filter(pl.col("adjusted_as_of").is_null() & (pl.col("close") > 0)).sort(
            "security_id", "session"
        )
        for row in (
            unadjusted.group_by("security_id", maintain_order=True).agg("session", "close").iter_rows(named=True)
        ):
            self._closes[row["security_id"]] = (row["session"], row["close"])

    def misfit(self, security_id: int, ex_date: date, ratio: Fraction) -> tuple[float, float] | None:
        """(distance of the observed move to this split, distance to no split), in logs; None without evidence."""
        if security_id not in self._closes:
            return None
        days, closes = self._closes[security_id]
        after = int(np.searchsorted(np.array(days, dtype="datetime64[D]"), np.datetime64(ex_date)))
        if after == 0 or after == len(days) or (days[after] - days[after - 1]).days > 10:
            return None
        move = math.log(closes[after] / closes[after - 1])
        return abs(move + math.log(ratio)), abs(move)

    def contradicts(self, security_id: int, ex_date: date, ratio: Fraction) -> bool:
        """Whether the closes moved as without this split; never said of a split too small to tell."""
        seen = self.misfit(security_id, ex_date, ratio)
        return seen is not None and abs(math.log(ratio)) > math.log(TELLING_RATIO) and seen[1] < seen[0]

    def confirms(self, security_id: int, ex_date: date, ratio: Fraction) -> bool:
        """Whether the closes moved as by this split."""
        seen = self.misfit(security_id, ex_date, ratio)
        return seen is not None and seen[0] < seen[1]


def _splits(frame: pl.DataFrame, evidence: _Evidence, problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def problem(name: str, row: dict[str, Any], detail: str) -> None:
        problems.append({"problem": name, "key": f"{row['ticker']} {row['ex_date']}", "detail": detail})

    by_security: dict[int, list[dict[str, Any]]] = {}
    for row in frame.sort("security_id", "ex_date", "numerator", "denominator", *_newest(frame)).iter_rows(named=True):
        numerator, denominator = row["numerator"], row["denominator"]
        if not all(number is not None and math.isfinite(number) and number > 0 for number in (numerator, denominator)):
            problem("split_ratio", row, f"{numerator} for {denominator} is no ratio; left out")
        elif numerator == denominator:
            problem("split_ratio", row, f"{numerator:g} for {denominator:g} changes nothing; left out")
        else:
            ratio = exact(numerator) / exact(denominator)
            by_security.setdefault(row["security_id"], []).append({**row, "ratio": ratio})
    kept: list[dict[str, Any]] = []
    for security_id, rows in by_security.items():
        rows = _one_a_day(security_id, rows, evidence, problem)
        for at, row in enumerate(rows):
            following = rows[at + 1] if at + 1 < len(rows) else None
            contradicted = evidence.contradicts(security_id, row["ex_date"], row["ratio"])
            said = f"{row['numerator']:g} for {row['denominator']:g}"
            if contradicted:
                problem("wrong_split", row, f"{said}: the closes around the day moved as without a split; left out")
            elif (
                following is not None
                and following["ratio"] == row["ratio"]
                and (following["ex_date"] - row["ex_date"]).days <= REPEATED_WITHIN_DAYS
                and not evidence.confirms(security_id, row["ex_date"], row["ratio"])
            ):
                problem("repeated_split", row, f"{said} comes again on {following['ex_date']}, which is kept")
            elif (
                kept
                and kept[-1]["security_id"] == security_id
                and kept[-1]["ratio"] == row["ratio"]
                and (row["ex_date"] - kept[-1]["ex_date"]).days <= REPEATED_WITHIN_DAYS
                and not evidence.confirms(security_id, row["ex_date"], row["ratio"])
            ):
                problem("repeated_split", row, f"{said} was there on {kept[-1]['ex_date']}, which is kept")
            else:
                kept.append(row)
    names = [name for name in (*CORPORATE_ACTIONS, *EVIDENCE, "declared_on") if name not in ("known_at", "question")]
    for row in kept:
        row["kind"] = "spin_off" if is_spin_off(row["ratio"]) else "split"
    return [{name: row[name] for name in names if name in row} | {"amount": None, "currency": None} for row in kept]


def _one_a_day(security_id: int, rows: list[dict[str, Any]], evidence: _Evidence, problem: Any) -> list[dict[str, Any]]:
    days: dict[date, dict[Fraction, dict[str, Any]]] = {}
    for row in rows:
        if row["ratio"] in days.setdefault(row["ex_date"], {}):
            problem("repeated_split", row, "the same split twice on one day; one is kept")
        days[row["ex_date"]][row["ratio"]] = row
    single = []
    for ex_date, ratios in sorted(days.items()):
        if len(ratios) > 1:
            said = ", ".join(f"{r['numerator']:g} for {r['denominator']:g}" for r in ratios.values())
            fits = [(seen[0], r) for r in ratios if (seen := evidence.misfit(security_id, ex_date, r)) is not None]
            if not fits:
                problem(
                    "conflicting_splits",
                    next(iter(ratios.values())),
                    f"{said} on one day and no bars to tell; left out",
                )
                continue
            best = min(fits)[1]
            problem("conflicting_splits", ratios[best], f"{said} on one day; the closes fit the one kept: {best}")
            single.append(ratios[best])
        else:
            single += ratios.values()
    return single


def _dividends(frame: pl.DataFrame, problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    newest = _newest(frame)
    if newest:
        asked_last = pl.col("question").sort_by(newest).last().over("security_id", "ex_date")
        frame = frame.filter(pl.col("question") == asked_last).sort(newest)
    paid = frame.unique(
        ["security_id", "ex_date", "dividend_type", "amount", "currency"], keep="last", maintain_order=True
    )
    positive = (pl.col("amount") > 0) & pl.col("amount").is_finite()
    for row in paid.filter(~positive.fill_null(False)).iter_rows(named=True):
        key = f"{row['ticker']} {row['ex_date']}"
        problems.append({"problem": "dividend_amount", "key": key, "detail": f"{row['amount']} is no amount; left out"})
    paid = paid.filter(positive)
    keys = ["security_id", "ex_date"]
    mixed = paid.filter(pl.col("currency").n_unique().over(keys) > 1)
    for row in mixed.unique(keys, maintain_order=True).iter_rows(named=True):
        key = f"{row['ticker']} {row['ex_date']}"
        problems.append(
            {"problem": "two_currencies", "key": key, "detail": "dividends of one day in two currencies; left out"}
        )
    summed = (
        paid.join(mixed.select(keys).unique(), on=keys, how="anti")
        .group_by(keys, maintain_order=True)
        .agg(
            pl.lit("dividend").alias("kind"),
            pl.lit(None, dtype=pl.Float64).alias("numerator"),
            pl.lit(None, dtype=pl.Float64).alias("denominator"),
            pl.col("amount").sum(),
            pl.col("currency").first(),
            pl.col("source").first(),
            pl.col("declared_on").max(),
            *(pl.col(name).last() for name in reversed(newest)),
        )
    )
    return summed.to_dicts()


def _newest(actions: pl.DataFrame) -> list[str]:
    return [name for name in ("fetched_at", "landing_id") if name in actions.columns]


def _map_actions(actions: pl.DataFrame, ticker_history: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    actions = actions.select(*ACTIONS, *(name for name in EVIDENCE if name in actions.columns))
    mapped, rest = map_tickers(actions, ticker_history, on="ex_date")
    history = ticker_history.select("ticker", "valid_from", "security_id").sort("ticker", "valid_from")
    later = (
        rest.with_row_index("row_")
        .sort("ticker", "ex_date")
        .join_asof(
            history, left_on="ex_date", right_on="valid_from", by="ticker", strategy="forward", check_sortedness=False
        )
        .sort("row_")
    )
    found = later.filter(pl.col("security_id").is_not_null()).drop("row_", "valid_from")
    unmapped = later.filter(pl.col("security_id").is_null()).select(actions.columns)
    return pl.concat([mapped, found.select(mapped.columns)]), unmapped


def _known_at(ex_date: date, declared_on: date | None) -> datetime:
    before = _close_before(ex_date)
    if declared_on is None or declared_on >= ex_date:
        return before
    return min(datetime.combine(declared_on, time(16), sessions.NEW_YORK).astimezone(UTC), before)


@lru_cache(maxsize=8192)
def _close_before(day: date) -> datetime:
    """The last close before `day`; days outside the calendar take 16:00 New York of the day before."""
    calendar = sessions.calendar()
    if not calendar.first_session.date() < day <= calendar.last_session.date():
        return datetime.combine(day - timedelta(days=1), time(16), sessions.NEW_YORK).astimezone(UTC)
    session = calendar.date_to_session((day - timedelta(days=1)).isoformat(), direction="previous").date()
    return sessions.close_of(session)


def _appended(new: pl.DataFrame, stored: pl.DataFrame, splits: pl.DataFrame) -> list[dict[str, Any]]:
    last = (
        stored.sort("session")
        .group_by("security_id", maintain_order=True)
        .agg(pl.col("session").last().alias("last_session"), pl.col("close").last().alias("last_close"))
    )
    first = (
        new.join(last, on="security_id")
        .filter((pl.col("session") > pl.col("last_session")) & (pl.col("close") > 0) & (pl.col("last_close") > 0))
        .sort("session")
        .group_by("security_id", maintain_order=True)
        .first()
    )
    by_security = split_fractions(splits)
    problems = []
    for row in first.sort("security_id").iter_rows(named=True):
        known = factor(by_security.get(row["security_id"], ()), row["last_session"], row["session"])
        ratio = row["close"] / row["last_close"] * float(known)
        if (simple := _simple_ratio(ratio, within=0.03)) is not None:
            problems.append(
                {
                    "problem": "possible_split",
                    "key": f"security {row['security_id']} {row['session']}",
                    "detail": f"close {row['close']:g} is {ratio:.4g} times that of {row['last_session']} ({simple}) "
                    "and no split explains it; look at the vendor's splits",
                }
            )
    return problems


def _simple_ratio(ratio: float, *, within: float) -> Fraction | None:
    """The split ratio (1/50 to 50, halves and thirds between) that `ratio` is within that share of; None near 1."""
    if not (math.isfinite(ratio) and ratio > 0) or 1 / UNSEEN_RATIO < ratio < UNSEEN_RATIO:
        return None
    up = max(ratio, 1 / ratio)
    nearest = Fraction(up).limit_denominator(2 if up < 5 else 1)
    if nearest <= 1 or abs(up / float(nearest) - 1) > within:
        return None
    return nearest if ratio > 1 else 1 / nearest


def _on_a_session(days: pl.Series) -> pl.Series:
    """Whether XNYS opened; days beyond the calendar's reach pass."""
    calendar = sessions.calendar()
    first, last = calendar.first_session.date(), calendar.last_session.date()
    known = days.filter((days >= first) & (days <= last))
    opened = sessions.sessions_between(known.min(), known.max()) if known.len() else []  # type: ignore[arg-type]
    return (days < first) | (days > last) | days.is_in(opened)


def _equal_rows(mapped: pl.DataFrame) -> pl.Expr:
    bar = ("open", "high", "low", "close", "volume")
    return pl.all_horizontal(
        pl.col(name).n_unique().over("security_id", "session") == 1 for name in bar if name in mapped.columns
    )


def _typed(frame: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
