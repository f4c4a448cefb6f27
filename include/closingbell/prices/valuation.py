"""Valuation ratios of a session: market value of all share classes against statements as known.

In, all as known at the session's close: closes (security_id, session, close, adjusted_as_of), securities, class_shares
(security_id, valid_from, shares; those of later days are left out here), financials rows (the newest version of each
period), splits (security_id, ex_date, numerator, denominator). Out: rows of
valuation_ratios without lineage, and why a value is null (security_id, value, reason).

Shares. A company's shares outstanding are those of its newest statement, on the split basis of the day they were
filed (`shares_filed_on`), and are brought to the session's basis by the splits with that day < ex_date <= session.
Market value = shares x the price of one base share. A company of several classes has several prices: each class's
close over `shares_per_base` (BRK-A: 1,500), weighted by the base shares of that class where every listed class's own
shares are known, else equally. Unlisted classes (Alphabet's B) so count at the listed ones' price, and class counts
of another day only weight prices that differ little. A statement may count class A equivalents (Berkshire's averages):
the classes' own shares tell, else the company's size, as its market value cannot be a thousandth of it. Where no
statement has a share count, the own shares of all listed classes are summed, if all are known of a day up to the
session. A listed class without a bar (none that day, or not asked for) counts at its siblings' price. An ADR's ratio to
ordinary shares is in no source: without one it has no market value. Nor has a security whose type no vendor told
(`type_inferred`) where it matters: of a company that files as one with receipts, or of classes far apart in price.

Prices adjusted as of another day than the session do not go together with a share count: null. Statements in another
currency than USD give a market value but no ratios. Stale statements (`fundamentals.compute`) give neither.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

import polars as pl

from closingbell.fundamentals.compute import QUARTER_GAP_DAYS, STALE_AFTER_DAYS, STALE_YEAR_AFTER_DAYS
from closingbell.prices.compute import factor, split_fractions
from closingbell.universe.compute import CLASS_SHARES, SCORED_TYPES

VALUATION_RATIOS: dict[str, Any] = {
    "security_id": pl.Int64,
    "session": pl.Date,
    **dict.fromkeys(
        (
            "close", "shares_outstanding", "market_cap", "pe_ratio", "pb_ratio", "ps_ratio",
            "earnings_yield", "book_yield", "sales_yield",
        ),
        pl.Float64,
    ),
    "statement_period_end": pl.Date,
    "statement_known_on": pl.Date,
}  # fmt: skip
REASONS: dict[str, Any] = {"security_id": pl.Int64, "value": pl.String, "reason": pl.String}

Row = dict[str, Any]
UNWEIGHTED = 1.25
"""Classes of inferred types further apart in price have no mean: it may be an eighth off, or one is no share."""
APART = 1000
"""From so many base shares a share on, the company's size tells whether its statements count those shares."""
SIZE = 30
"""A market value is within this many times, up or down, of equity or a year's revenue, whichever is larger."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """`ratios` (VALUATION_RATIOS) of every scored security with a close, and `reasons` (REASONS) for its nulls."""

    ratios: pl.DataFrame
    reasons: pl.DataFrame


def valuation_ratios(
    closes: pl.DataFrame,
    securities: pl.DataFrame,
    financials: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    session: date,
    class_shares: pl.DataFrame | None = None,
    receipt_issuers: Collection[int] = (),
) -> Valuation:
    """Ratios of `session` for every scored security that has a close on it.

    financials needs cik, period_end, period_type, known_on, currency, revenue, net_income, shareholders_equity,
    shares_outstanding and shares_filed_on (the filing that its shares come from; known_on where that is null).
    receipt_issuers: CIKs whose shares may trade as depositary receipts, by what they filed.
    pe_ratio is null without positive earnings, pb_ratio without positive equity; the yields (the inverses) keep their
    sign.
    """
    by_cik: dict[int | None, list[Row]] = {}
    counted = pl.DataFrame(schema=CLASS_SHARES) if class_shares is None else class_shares
    newest = counted.filter(pl.col("valid_from") <= session).sort("valid_from").unique("security_id", keep="last")
    newest = newest.select("security_id", pl.col("shares").alias("class_shares"), class_shares_on="valid_from")
    scored = securities.filter(pl.col("type").is_in(SCORED_TYPES)).join(newest, on="security_id", how="left")
    priced = closes.filter(pl.col("session") == session).join(scored, on="security_id").sort("security_id")
    for row in priced.iter_rows(named=True):
        by_cik.setdefault(row["cik"], []).append(row)
    silent: dict[int | None, list[Row]] = {}
    listed = pl.col("first_session").fill_null(session) <= session, pl.col("last_session").fill_null(session) >= session
    own = scored.filter(*listed, pl.col("type") != "ADRC")  # receipts are of shares that count already
    for row in own.join(priced, on="security_id", how="anti").sort("security_id").iter_rows(named=True):
        silent.setdefault(row["cik"], []).append(row)
    statements = _newest(financials, session)
    fractions = split_fractions(splits)
    rows: list[Row] = []
    reasons: list[Row] = []
    for cik, classes in by_cik.items():
        for alone in [[row] for row in classes] if cik is None else [classes]:
            of = statements.get(cik) if cik is not None else None
            others = silent.get(cik, []) if cik is not None else []
            made, why = _company(alone, others, of, fractions, session, cik in receipt_issuers)
            rows += made
            reasons += why
    return Valuation(
        pl.DataFrame(rows, schema=VALUATION_RATIOS).sort("security_id"), pl.DataFrame(reasons, schema=REASONS)
    )


@dataclass(slots=True)
class _Statements:
    ttm: Row | None = None
    balance: Row | None = None
    shares: Row | None = None


def _newest(financials: pl.DataFrame, session: date) -> dict[int, _Statements]:
    """Per company the newest TTM row and the newest Q or FY rows with equity and with shares, none of them stale."""
    known = financials.filter((pl.col("known_on") <= session) & (pl.col("period_end") <= session))
    dates = known.select("cik", "period_end").unique().sort("period_end")
    gaps = dates.group_by("cik", maintain_order=True).agg(
        pl.col("period_end").diff().last().dt.total_days().alias("gap")
    )
    limit = (
        pl.when(pl.col("gap").fill_null(0) <= QUARTER_GAP_DAYS).then(STALE_AFTER_DAYS).otherwise(STALE_YEAR_AFTER_DAYS)
    )
    age = (pl.lit(session) - pl.col("period_end")).dt.total_days()
    fresh = known.join(gaps.select("cik", limit.alias("limit")), on="cik").filter(age <= pl.col("limit"))
    found: dict[int, _Statements] = {}
    # a year's last quarter stands in two rows; the FY row is the filed one
    for row in fresh.sort("period_end", "known_on", pl.col("period_type") == "FY").iter_rows(named=True):
        of = found.setdefault(row["cik"], _Statements())
        if row["period_type"] == "TTM":
            of.ttm = row
            continue
        if row["shareholders_equity"] is not None:
            of.balance = row
        if row["shares_outstanding"]:
            of.shares = row
    return found


def _company(
    classes: list[Row],
    silent: list[Row],
    of: _Statements | None,
    fractions: dict[int, list[tuple[date, Fraction]]],
    session: date,
    receipts: bool,
) -> tuple[list[Row], list[Row]]:
    """The rows of the classes with a close, and reasons; `silent` are the company's other listed classes."""
    of = of or _Statements()
    newest = of.ttm or of.balance  # a company whose filings make no twelve months yet has a book value all the same
    rows = [
        {
            "security_id": row["security_id"],
            "session": session,
            "close": row["close"],
            "statement_period_end": newest and newest["period_end"],
            "statement_known_on": newest and newest["known_on"],
        }
        for row in classes
    ]
    shares = _shares(classes, of.shares, fractions, session)
    shares, why = _base_shares(classes, silent, shares, of, fractions, session)
    market_cap = None
    if not why:
        market_cap, why = _market_cap(classes, silent, shares, fractions, session, receipts)
    values: Row = {"shares_outstanding": shares, "market_cap": market_cap}
    reasons = {} if market_cap is not None else {"market_cap": why}
    if market_cap is not None:
        for ratio, yield_, row, column in (
            ("pe_ratio", "earnings_yield", of.ttm, "net_income"),
            ("pb_ratio", "book_yield", of.balance, "shareholders_equity"),
            ("ps_ratio", "sales_yield", of.ttm, "revenue"),
        ):
            if row is None or row[column] is None:
                reasons[yield_] = f"no {column} in a statement that is fresh enough"
            elif row["currency"] != "USD":
                reasons[yield_] = f"statements are in {row['currency']}"
            else:
                values[yield_] = row[column] / market_cap
                if row[column] > 0:
                    values[ratio] = market_cap / row[column]
                else:
                    reasons[ratio] = f"{column} is not positive"
    return (
        [row | values for row in rows],
        [
            {"security_id": row["security_id"], "value": value, "reason": reason}
            for row in rows
            for value, reason in reasons.items()
        ],
    )


def _shares(
    classes: list[Row], statement: Row | None, fractions: dict[int, list[tuple[date, Fraction]]], session: date
) -> float | None:
    """The company's shares on the session's split basis; its classes split alike, the base class says how."""
    if statement is None:
        return None
    base = min(classes, key=lambda row: (row["shares_per_base"], row["security_id"]))
    counted_on = statement.get("shares_filed_on") or statement["known_on"]
    since = factor(fractions.get(base["security_id"], ()), counted_on, session)
    return statement["shares_outstanding"] * since.numerator / since.denominator


def _base_shares(
    classes: list[Row],
    silent: list[Row],
    shares: float | None,
    of: _Statements,
    fractions: dict[int, list[tuple[date, Fraction]]],
    session: date,
) -> tuple[float | None, str]:
    """The shares as base shares, though they may be counted as those of the dearest class; or why nothing tells."""
    dearest = max(row["shares_per_base"] for row in (*classes, *silent))
    if shares is None or dearest < APART:
        return shares, ""
    either = (shares, shares * dearest)
    listed = _listed_shares((*classes, *silent), fractions, session)
    if listed is not None and len(classes) + len(silent) > 1:
        return min(either, key=lambda count: abs(math.log(count / listed))), ""
    size = max(
        abs(row[column] or 0.0) if row else 0.0
        for row, column in ((of.balance, "shareholders_equity"), (of.ttm, "revenue"))
    )
    price = min(row["close"] / row["shares_per_base"] for row in classes)
    alike = [count for count in either if size / SIZE < count * price < size * SIZE]
    return (alike[0], "") if len(alike) == 1 else (None, "nothing tells which class its statements count")


def _market_cap(
    classes: list[Row],
    silent: list[Row],
    shares: float | None,
    fractions: dict[int, list[tuple[date, Fraction]]],
    session: date,
    receipts: bool,
) -> tuple[float | None, str]:
    if adjusted := [row for row in classes if row["adjusted_as_of"] not in (None, session)]:
        return None, f"the close is adjusted as of {adjusted[0]['adjusted_as_of']}; shares are not"
    if any(row["type"] == "ADRC" and row["shares_per_base"] == 1 for row in classes):
        return None, "an ADR's ratio to ordinary shares is not known"
    inferred = any(row["type_inferred"] for row in classes)
    if inferred and receipts:
        return None, "no vendor tells its type, and a filer of 20-F or F-6 may trade as receipts of an unknown ratio"
    if shares is None:
        shares = _listed_shares((*classes, *silent), fractions, session)
    if shares is None:
        return None, "no shares outstanding in a statement that is fresh enough, nor of each listed class"
    own = [_class_shares(row, fractions, session) for row in classes]
    known = [count for count in own if count is not None]
    weights = [1.0] * len(classes)
    if len(known) == len(classes):
        weights = [count * row["shares_per_base"] for count, row in zip(known, classes, strict=True)]
    prices = [row["close"] / row["shares_per_base"] for row in classes]
    if inferred and len(known) < len(classes) and max(prices) > UNWEIGHTED * min(prices):
        return None, "its classes trade far apart, and no vendor tells their types and the shares of each"
    price = math.fsum(weight * each for weight, each in zip(weights, prices, strict=True))
    return shares * (price / math.fsum(weights)), ""


def _listed_shares(
    classes: Sequence[Row], fractions: dict[int, list[tuple[date, Fraction]]], session: date
) -> float | None:
    """Base shares of all listed classes; None where the own shares of one of them are not known."""
    own = [(_class_shares(row, fractions, session), row["shares_per_base"]) for row in classes]
    known = [count * ratio for count, ratio in own if count is not None]
    return math.fsum(known) if len(known) == len(own) else None


def _class_shares(row: Row, fractions: dict[int, list[tuple[date, Fraction]]], session: date) -> float | None:
    """The class's own shares on the session's basis; None where no count of a day up to it is known."""
    if not row["class_shares"]:
        return None
    since = factor(fractions.get(row["security_id"], ()), row["class_shares_on"], session)
    return row["class_shares"] * since.numerator / since.denominator
