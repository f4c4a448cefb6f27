"""How much of the universe has data, how old it is, and whether that is what was aimed at: a line a table and a factor.

The universe are the shares that traded on the session. The S&P 500 are all its members: one without a bar has nothing.
In: frames of sql/queries/coverage_*.sql and score_universe.sql of one session. Out: `Line`s, and their text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from closingbell.scores.factors import FACTORS

OF_MEMBERS, OF_ALL = 0.9, 0.7
"""The part of the S&P 500, and of the whole universe, that filings and prices should be there of."""

STOCKS_RATED = 500
DEPTHS = {"insider_trades": (30, "days"), "institutional_ownership": (4, "quarters"), "news_sentiment": (30, "days")}
"""How far back what is not loaded by security should reach, without a hole and up to about the session."""

TABLES = (
    "stock_prices", "technical_indicators", "valuation_ratios", "financials", "insider_trades",
    "institutional_ownership", "analyst_ratings", "news_sentiment",
)  # fmt: skip
AS_TABLE = {
    "analyst_consensus": "analyst_ratings", "insider_activity": "insider_trades",
    "institutional": "institutional_ownership", "news_sentiment": "news_sentiment",
}  # fmt: skip
"""Factors whose goal is that of the table they are read from."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What was aimed at, in words, and whether it is reached."""

    words: str
    met: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """A table or a factor: `have` of `of` securities that it has data of, `members` of `of_members` of the S&P 500, the
    newest day it speaks of, and the median age in days of each security's newest day."""

    kind: str  # table, factor
    name: str
    have: int
    of: int
    members: int
    of_members: int
    newest: date | None
    age: int | None
    goals: tuple[Goal, ...]


def lines(
    universe: pl.DataFrame,
    members: Iterable[int],
    *,
    tables: pl.DataFrame,
    inputs: pl.DataFrame,
    depths: Mapping[str, int | None],
    session: date,
) -> list[Line]:
    """Tables, then factors. members: the securities of the S&P 500; depths: the row of coverage_depths.sql."""
    of_index = set(members)
    listed = universe.select("security_id", member=pl.col("security_id").is_in(of_index))
    of_members = len(of_index)
    found = []
    for name in TABLES:
        rows = tables.filter(pl.col("table_name") == name).select("security_id", day="newest")
        found.append(_line("table", name, listed, of_members, rows, depths, session))
    for factor in FACTORS:
        metrics = [metric.name for metric in factor.metrics]
        rows = inputs.filter(pl.col("metric").is_in(metrics)).group_by("security_id").agg(pl.col("day").max())
        found.append(_line("factor", factor.name, listed, of_members, rows, depths, session))
    return found


def text(found: Iterable[Line], session: date) -> str:
    """The lines for a terminal, a goal that is missed marked with its words."""
    head = f"{'':<24} {'Stocks':>7} {'Of all':>7} {'S&P 500':>8} {'Newest':>10} {'Days old':>8}  Goal"
    told = [f"Coverage at the close of {session}", "", head, "-" * 118]
    for line in found:
        goals = "; ".join(("reached: " if goal.met else "MISSED: ") + goal.words for goal in line.goals)
        told.append(
            f"{line.name:<24} {line.have:>7,} {_percent(line.have, line.of):>7} "
            f"{_percent(line.members, line.of_members):>8} {line.newest or '-'!s:>10} "
            f"{'-' if line.age is None else line.age:>8}  {goals}"
        )
    return "\n".join(told) + "\n"


def _line(
    kind: str,
    name: str,
    listed: pl.DataFrame,
    of_members: int,
    rows: pl.DataFrame,
    depths: Mapping[str, int | None],
    session: date,
) -> Line:
    rows = rows.join(listed, on="security_id")
    members = int(rows["member"].sum())
    ages = (session - rows["day"]).dt.total_days()
    goals: tuple[Goal, ...]
    about = AS_TABLE.get(name, name) if kind == "factor" else name
    if about in DEPTHS:
        wanted, unit = DEPTHS[about]
        reached = depths[about] or 0
        goals = (Goal(words=f"{unit}: {reached}, goal {wanted}", met=reached >= wanted),)
    elif about == "analyst_ratings":
        wanted = min(STOCKS_RATED, listed.height)
        goals = (Goal(words=f"stocks: {rows.height:,}, goal {wanted}", met=rows.height >= wanted),)
    else:
        goals = (
            # of a list that is not loaded nobody is there
            Goal(words=f"{OF_MEMBERS:.0%} of the S&P 500", met=members >= OF_MEMBERS * max(of_members, 1)),
            Goal(words=f"{OF_ALL:.0%} of all", met=rows.height >= OF_ALL * listed.height),
        )
    newest = rows["day"].max()
    assert newest is None or isinstance(newest, date)
    age = ages.median()
    return Line(
        kind=kind,
        name=name,
        have=rows.height,
        of=listed.height,
        members=members,
        of_members=of_members,
        newest=newest,
        age=None if age is None else round(age),  # type: ignore[arg-type]
        goals=goals,
    )


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"
