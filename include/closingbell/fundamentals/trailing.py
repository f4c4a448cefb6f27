"""Versions of quarters, years and year-to-date amounts -> twelve months that end with each of them (TTM).

In: Versions (see versions.py). Out: their columns, one row a target end and day on which one of its parts changed: rule
5 of `compute`. Set-wise over all companies.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from closingbell.fundamentals import events
from closingbell.fundamentals.events import Ends, Flags, Floats, Ints, dates, last
from closingbell.fundamentals.observations import NEAR_DAYS, ROW, SPAN
from closingbell.fundamentals.versions import BALANCES, FLOWS, PER_SHARE, TAX, VALUES, Versions

QUARTERS = ("q0", "q1", "q2", "q3")
ROLES = ("y", *QUARTERS, "now", "rest")
"""Rows a TTM row is made of: the year; four quarters, newest first; the year to date, the rest of the year before."""
SOURCES = tuple(f"version_{role}" for role in ROLES[1:])

REST = {"Q": "N", "H": "H", "N": "Q"}
"""What is left of a year after its first quarter, half, or nine months."""

SAME_BASIS = 1.25
"""Average shares of four quarters further apart than this factor: a split (the smallest usual one is 5 for 4) or a
merger lies between them, and their per-share figures do not add up."""


def trailing(versions: Versions, ends: Ends) -> pl.DataFrame:
    """TTM rows: columns of `versions.frame` (for version SOURCES, the versions it is made of), and period_type."""
    stated = pl.Series(versions.row).to_frame("row").with_columns(versions.frame.select(*ROW, "start"))
    periods = stated.drop_nulls("start").unique("row", keep="first", maintain_order=True)
    parts = _parts(periods)
    if parts.is_empty():
        return pl.DataFrame(
            schema={**versions.frame.schema, **dict.fromkeys(SOURCES, pl.Int32), "period_type": pl.String}
        )
    targets, target = np.unique(parts["target"].to_numpy(), return_inverse=True)
    part_row = parts["part_row"].to_numpy()
    # the days on which one of its parts changed, with the filing that came last
    owner, at = events.ranges(
        np.searchsorted(versions.row, part_row), np.searchsorted(versions.row, part_row, side="right")
    )
    when = target[owner] * events.DAYS + versions.day[at]
    known, accession = (versions.frame[name].to_physical().to_numpy() for name in ("known_at", "accession"))
    order = np.lexsort((accession[at], known[at], when))
    order = order[last(when[order])]
    when, newest = when[order], at[order]
    of, day = when // events.DAYS, when % events.DAYS
    # each part as known on that day
    rows = np.full((len(targets), len(ROLES)), -1, dtype=np.int64)
    rows[target, parts["role"].to_physical().to_numpy()] = part_row
    held, have = rows[of], versions.row * events.DAYS + versions.day
    version = np.searchsorted(have, held * events.DAYS + day[:, None], side="right") - 1
    version = np.where((held >= 0) & (versions.row[version] == held), version, -1)
    one = versions.frame[newest]
    return _summed(
        one.select("cik", "currency", "known_at", "accession").with_columns(
            dates(ends.day[targets[of]]).alias("end"), dates(day).alias("day")
        ),
        versions.frame,
        version,
        _rolled_is_newer(versions, version, held),
    ).with_columns(pl.lit("TTM").alias("period_type"))


def _rolled_is_newer(versions: Versions, version: Ints, held: Ints) -> dict[str, Flags]:
    """By figure whether the year to date and the rest of the year before tell more than the four quarters do.

    Either the rest is told by a later filing than one of its quarters is, or the year to date, as the first report of
    it tells it, is not what its quarters, one of them told before and none since, add up to: that report restates them
    unsaid. Revenue, costs and gross profit go one way where two ways leave them contradicting each other (Nike's twelve
    months to 2011-11-30, of which 0001193125-13-008172 restates the half and its last quarter).
    """
    rest, now = ROLES.index("rest"), ROLES.index("now")
    quarter = [ROLES.index(role) for role in QUARTERS]
    before = (held[:, now] % events.SPANS)[:, None] < np.arange(len(QUARTERS))[None, :]  # in the year before
    reported = versions.day[np.searchsorted(versions.row, held[:, now]).clip(max=len(versions.row) - 1)]
    newer, by_quarters, rolled = {}, {}, {}
    for figure in (*FLOWS, *TAX):
        told = np.append(versions.told_on[figure], 0)[version]  # 0 for what is not known
        newer[figure] = told[:, rest] > np.where(before, told[:, quarter], events.DAYS).min(axis=1)
        value = np.append(versions.frame[figure].to_numpy(), np.nan)[version]
        to_date = np.where(before, 0, value[:, quarter])
        apart = np.abs(value[:, now] - to_date.sum(axis=1)) > events.ADDS_UP * np.abs(to_date).max(axis=1)
        one_was_told_before = np.where(before, events.DAYS, told[:, quarter]).min(axis=1) < told[:, now]
        none_since = np.where(before, 0, told[:, quarter]).max(axis=1) <= told[:, now]
        newer[figure] |= apart & one_was_told_before & none_since & (told[:, now] == reported)
        by_quarters[figure], rolled[figure] = value[:, quarter].sum(axis=1), value[:, now] + value[:, rest]
    sold = ("revenue", "cost_of_revenue", "gross_profit")
    each = [np.where(newer[f] & ~np.isnan(rolled[f]), rolled[f], by_quarters[f]) for f in sold]
    one_way = ~_adds_up(*each) & _adds_up(*(rolled[f] for f in sold)) & ~np.isnan(each).any(axis=0)
    return newer | {figure: newer[figure] | one_way for figure in sold}


def _adds_up(whole: Floats, one: Floats, other: Floats) -> Flags:
    return np.abs(whole - one - other) <= events.SAME_DIGITS * np.abs(whole)


def _parts(periods: pl.DataFrame) -> pl.DataFrame:
    """target (an end number) -> role, part_row."""
    target = ["cik", "currency", "end"]
    numbers = periods.select(*target, number=pl.col("row") // events.SPANS).unique()
    years, quarters = (periods.filter(pl.col("span") == span).select(target).sort("end") for span in ("Y", "Q"))

    starts = periods.filter(pl.col("span") == "Q").select(*target, "start")

    def earlier(frame: pl.DataFrame, of: str, by: int, within: int, ends: pl.DataFrame, name: str) -> pl.DataFrame:
        found = frame.with_columns(pl.col(of).dt.offset_by(f"-{by}d").alias("near")).sort("near")
        return found.join_asof(
            ends.with_columns(pl.col("end").alias(name)),
            left_on="near",
            right_on="end",
            by=["cik", "currency"],
            strategy="nearest",
            tolerance=f"{within}d",
            check_sortedness=False,
            suffix="_found",
        ).drop("near", "end_found", strict=False)

    chain = quarters.with_columns(pl.col("end").alias("q0"))
    for role, after in (("q1", "q0"), ("q2", "q1"), ("q3", "q2")):
        chain = chain.join(starts.rename({"end": after}), on=["cik", "currency", after], how="left")
        chain = earlier(chain, "start", 1, NEAR_DAYS, quarters, role).drop("start")
    to_date = (
        periods.filter(pl.col("span").is_in(list(REST)))
        .with_columns(pl.col("start").dt.offset_by("-1d").alias("rest"), pl.col("end").alias("now"))
        .join(years.rename({"end": "rest"}), on=["cik", "currency", "rest"])
    )
    parts = [years.select(*target, role=pl.lit("y"), part_span=pl.lit("Y", dtype=SPAN), part_end=pl.col("end"))]
    for role in QUARTERS:
        parts.append(chain.select(*target, role=pl.lit(role), part_span=pl.lit("Q", dtype=SPAN), part_end=pl.col(role)))
    for role, part_span in (("now", pl.col("span")), ("rest", pl.col("span").replace_strict(REST, return_dtype=SPAN))):
        parts.append(to_date.select(*target, role=pl.lit(role), part_span=part_span, part_end=pl.col(role)))
    part_row = pl.col("number_part") * events.SPANS + pl.col("part_span").to_physical()
    return (
        pl.concat(parts)
        .drop_nulls("part_end")
        .unique([*target, "role"], keep="first", maintain_order=True)
        .join(numbers, on=target)
        .join(numbers, left_on=["cik", "currency", "part_end"], right_on=target, suffix="_part")
        .select(pl.col("role").cast(pl.Enum(ROLES)), target="number", part_row=part_row)
    )


def _summed(days: pl.DataFrame, versions: pl.DataFrame, of_role: Ints, newer_rolled: dict[str, Flags]) -> pl.DataFrame:
    """Twelve months of each of `days` from the versions of its parts: by day and role a row of `versions`, or -1."""
    columns = [*VALUES, "eps_filed_on", "shares_filed_on", "version", "start"]
    for role, which in zip(ROLES, of_role.T, strict=True):
        at = pl.Series(which).replace(-1, None)
        days = days.with_columns(versions.select(pl.col(columns).gather(at).name.prefix(f"{role}.")))

    def flow(figure: str) -> pl.Expr:
        four = sum((pl.col(f"{q}.{figure}") for q in QUARTERS[1:]), pl.col(f"q0.{figure}"))
        rolled = pl.col(f"now.{figure}") + pl.col(f"rest.{figure}")
        newer = pl.lit(pl.Series(newer_rolled[figure]))
        return pl.coalesce(pl.col(f"y.{figure}"), pl.when(newer).then(rolled), four, rolled).alias(figure)

    def latest(column: str) -> pl.Expr:
        return pl.coalesce(pl.col(f"{role}.{column}") for role in ("y", "q0", "now")).alias(column)

    averages = [pl.col(f"{q}.shares_average_diluted") for q in QUARTERS]
    counted = pl.sum_horizontal(average.is_not_null().cast(pl.Int8) for average in averages)
    one_basis = (counted >= 2) & (pl.max_horizontal(averages) <= SAME_BASIS * pl.min_horizontal(averages))

    def per_share(figure: str) -> pl.Expr:
        four = sum((pl.col(f"{q}.{figure}") for q in QUARTERS[1:]), pl.col(f"q0.{figure}"))
        return pl.coalesce(pl.col(f"y.{figure}"), pl.when(one_basis).then(four)).alias(figure)

    by_year = pl.col("y.start").is_not_null()
    by_quarters = pl.col("q3.start").is_not_null()
    return days.select(
        "cik",
        "currency",
        "end",
        "day",
        "known_at",
        "accession",
        pl.when(by_year)
        .then("y.start")
        .when(by_quarters)
        .then("q3.start")
        .when(pl.col("now.start").is_not_null())
        .then("rest.start")
        .alias("start"),
        *[flow(figure) for figure in (*FLOWS, *TAX)],
        *[per_share(figure) for figure in PER_SHARE],
        *[latest(figure) for figure in BALANCES],
        pl.coalesce("y.eps_filed_on", "q0.eps_filed_on").alias("eps_filed_on"),
        latest("shares_filed_on"),
        pl.when(by_year).then("y.version").alias("version"),
        *[pl.when(~by_year).then(f"{role}.version").alias(name) for role, name in zip(ROLES[1:], SOURCES, strict=True)],
    )
