"""How much of a universe has data, how old it is, and which goals that reaches."""

from __future__ import annotations

from datetime import date

import polars as pl

from closingbell.scores import coverage
from closingbell.scores.factors import FACTORS

SESSION = date(2024, 3, 4)
UNIVERSE = pl.DataFrame({"security_id": range(1, 11)})
NO_DEPTH: dict[str, int | None] = {"insider_trades": None, "institutional_ownership": 0, "news_sentiment": None}


def covered(*, tables=(), inputs=(), members=(1, 2), depths=NO_DEPTH, universe=UNIVERSE) -> dict[tuple, coverage.Line]:
    found = coverage.lines(
        universe,
        members,
        tables=pl.DataFrame(
            list(tables),
            {"table_name": pl.String, "security_id": pl.Int64, "oldest": pl.Date, "newest": pl.Date},
            orient="row",
        ),
        inputs=pl.DataFrame(list(inputs), {"security_id": pl.Int64, "metric": pl.String, "day": pl.Date}, orient="row"),
        depths=depths,
        session=SESSION,
    )
    return {(line.kind, line.name): line for line in found}


def bars(*ids: int, newest: date = SESSION) -> list[tuple]:
    return [("stock_prices", id_, date(2020, 1, 2), newest) for id_ in ids]


def test_every_table_and_factor_has_a_line_and_nothing_reaches_no_goal():
    found = covered()
    factors = [factor.name for factor in FACTORS]
    assert list(found) == [("table", name) for name in coverage.TABLES] + [("factor", name) for name in factors]
    assert not any(goal.met for line in found.values() for goal in line.goals)
    assert {(line.have, line.newest, line.age) for line in found.values()} == {(0, None, None)}


def test_shares_outside_the_universe_do_not_count_and_members_without_a_bar_are_missing():
    line = covered(tables=bars(1, 2, 3, 99, 98), members=(1, 2, 98))["table", "stock_prices"]
    assert (line.have, line.of, line.members, line.of_members) == (3, 10, 2, 3)
    assert not line.goals[0].met  # two of three
    nobody = covered(tables=bars(1, 2, 3), members=())["table", "stock_prices"]
    assert (nobody.of_members, nobody.goals[0].met) == (0, False)  # no list is loaded


def test_the_goals_of_filings_and_prices_are_parts_of_the_sp500_and_of_all():
    def met(*ids: int, members: tuple[int, ...]) -> list[bool]:
        goals = covered(tables=bars(*ids), members=members)["table", "stock_prices"].goals
        return [goal.met for goal in goals]

    assert met(*range(1, 8), members=(1, 2)) == [True, True]  # 7 of 10
    assert met(*range(1, 7), members=(1, 2)) == [True, False]
    assert met(*range(1, 10), members=tuple(range(1, 11))) == [True, True]  # 9 of 10 members
    assert met(*range(1, 9), members=tuple(range(1, 11))) == [False, True]


def test_what_is_not_loaded_by_security_has_a_depth():
    reached = {"insider_trades": 30, "institutional_ownership": 4, "news_sentiment": 29}
    found = covered(depths=reached)
    goals = {at: line.goals[0] for at, line in found.items()}
    assert [goals["table", name].met for name in reached] == [True, True, False]
    assert goals["table", "news_sentiment"].words == "days: 29, goal 30"
    # and their factors the same
    assert goals["factor", "insider_activity"] == goals["table", "insider_trades"]
    assert goals["factor", "institutional"] == goals["table", "institutional_ownership"]
    assert goals["factor", "news_sentiment"] == goals["table", "news_sentiment"]


def test_ratings_are_of_five_hundred_stocks_or_of_all_where_there_are_fewer():
    rated = [("analyst_ratings", id_, SESSION, SESSION) for id_ in range(1, 501)]
    assert covered(tables=rated)["table", "analyst_ratings"].goals[0] == coverage.Goal(
        words="stocks: 10, goal 10", met=True
    )
    many = pl.DataFrame({"security_id": range(1, 1001)})
    assert covered(tables=rated, universe=many)["table", "analyst_ratings"].goals[0].met
    goal = covered(tables=rated[1:], universe=many)["table", "analyst_ratings"].goals[0]
    assert goal == coverage.Goal(words="stocks: 499, goal 500", met=False)


def test_a_factor_is_there_with_one_metric_and_as_old_as_its_newest():
    rows = [
        (1, "earnings_yield", SESSION), (1, "book_yield", date(2024, 3, 1)), (2, "sales_yield", date(2024, 2, 23)),
        (3, "book_yield", date(2024, 2, 28)),
    ]  # fmt: skip
    line = covered(inputs=rows)["factor", "value"]
    assert (line.have, line.members, line.newest, line.age) == (3, 2, SESSION, 5)


def test_the_text_tells_what_is_missed():
    told = coverage.text(covered(tables=bars(1, 2, 3)).values(), SESSION)
    (line,) = [line for line in told.splitlines() if line.startswith("stock_prices")]
    assert line.split(maxsplit=6) == [
        "stock_prices", "3", "30%", "100%", "2024-03-04", "0", "reached: 90% of the S&P 500; MISSED: 70% of all",
    ]  # fmt: skip
