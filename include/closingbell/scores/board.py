"""The scoreboard as plain text for a terminal. In: rows of sql/queries/scoreboard.sql. Out: lines of 120 columns."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from closingbell.scores.factors import FACTORS

HEADINGS = {
    "value": "Val", "growth": "Grow", "profitability": "Prof", "financial_health": "Hlth", "momentum": "Mom",
    "analyst_consensus": "Anl", "insider_activity": "Insd", "institutional": "Inst", "news_sentiment": "News",
    "technical": "Tech",
}  # fmt: skip
_WIDTH, _TICKER, _NAME = 4, 8, 26


def text(board: pl.DataFrame, session: date, *, limit: int | None = 50, simulated: bool = False) -> str:
    """The board of `session`, best first, `limit` rows of it (None: all), with what its signs mean.

    Factors are percentiles among peers (100 best); "-" is a factor without data, which leaves the mean. Scores are
    always shown with the weight of data behind them. `simulated` says so above the board.
    """
    if board.is_empty():
        return f"No scores for {session}: is it a session, and did market_close and scoring run for it?\n"
    board = board.sort("overall_score", "ticker", descending=[True, False], nulls_last=True)
    shown = board if limit is None else board.head(limit)
    factors = [factor.name for factor in FACTORS]
    head = (
        f"{'':>4} {'Ticker':<{_TICKER}} {'Company':<{_NAME}} {'Score':>6} "
        + " ".join(f"{HEADINGS[factor]:>{_WIDTH}}" for factor in factors)
        + f" {'Data':>5} Rating"
    )
    lines = [
        f"Closing Bell, session {session}: {board.height} securities scored" + (" (SIMULATED)" if simulated else ""),
        "",
        head,
        "-" * len(head),
    ]
    lines += [_line(place, row, factors) for place, row in enumerate(shown.iter_rows(named=True), 1)]
    if shown.height < board.height:
        lines.append(f"... and {board.height - shown.height} more")
    counts = board["rating"].value_counts(sort=False)
    ratings = {name: count for name, count in counts.iter_rows()}
    order = ["Strong Buy", "Buy", "Hold", "Underperform", "Sell"]
    lines += [
        "",
        "Ratings: " + ", ".join(f"{ratings.get(name, 0)} {name}" for name in order),
        "Factors are percentiles among peers, 100 best; - has no data and leaves the mean; Data is the weight present.",
    ]
    if board["sector_assumed"].any():
        lines.append("* the earliest known sector stands for one not known yet on the session")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _line(place: int, row: dict[str, Any], factors: list[str]) -> str:
    ticker = (row["ticker"] or str(row["security_id"])) + ("*" if row["sector_assumed"] else "")
    cells = " ".join(f"{_cell(row[factor]):>{_WIDTH}}" for factor in factors)
    return (
        f"{place:>4} {ticker:<{_TICKER}} {_cut(row['name'] or '', _NAME):<{_NAME}} {row['overall_score']:>6.2f} "
        f"{cells} {row['data_completeness']:>5.0%} {row['rating']}"
    )


def _cell(percentile: float | None) -> str:
    return "-" if percentile is None else f"{percentile:.0f}"


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1].rstrip() + "…"
