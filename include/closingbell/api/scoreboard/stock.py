"""A stock's page: everything that was known of it at the close of a session, each number with where it came from.

In: rows of the api_*.sql queries. Out: facts for stock.html.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import numpy as np
from fastapi import HTTPException

from closingbell.api.reads import Reads
from closingbell.api.scoreboard import written
from closingbell.api.scores import change
from closingbell.scores.factors import FACTORS
from closingbell.sessions import close_of

BARS = 260  # a year
BEFORE = 400  # bars that an indicator looks back on
HISTORY_DAYS = 365
SHOWN = 30  # sessions of prices, and days of scores, in the tables beside the charts
QUARTERS, TRADES, HOLDERS, RATINGS, ARTICLES, FILINGS = 8, 15, 10, 15, 12, 6

STATEMENT = (
    ("revenue", "Revenue", "money"), ("gross_profit", "Gross profit", "money"),
    ("operating_income", "Operating income", "money"), ("net_income", "Net income", "money"),
    ("eps_diluted", "Earnings a share, diluted", "share"), ("operating_cash_flow", "Operating cash flow", "money"),
    ("free_cash_flow", "Free cash flow", "money"), ("total_assets", "Total assets", "money"),
    ("cash_and_equivalents", "Cash", "money"), ("long_term_debt", "Long-term debt", "money"),
    ("shareholders_equity", "Shareholders' equity", "money"), ("net_margin", "Net margin", "percent"),
    ("debt_to_equity", "Debt to equity", "ratio"),
)  # fmt: skip
"""Lines of the statements: column, words, how it is written."""


async def facts(reads: Reads, security: dict[str, Any], board: dict[str, Any]) -> dict[str, Any]:
    """What the page shows. security: a row of api_security.sql; board: of api_board_session.sql."""
    who = {"security_id": security["security_id"], "session": board["session"]}
    known = {"security_id": security["security_id"], "known_at": board["known_at"]}
    asked: dict[str, Awaitable[Any]] = {
        "score": reads.row("api_score", **who),
        "quote": reads.row("api_stock_quote", **who),
        "prices": prices_of(reads, who, SHOWN),
        "scores": reads.rows("api_history", **who, days=SHOWN),
        "evidence": reads.rows("api_evidence", **who, most=FILINGS),
        "told": reads.rows("api_evidence_told", **who, most=FILINGS),
        "statements": reads.rows("api_stock_statements", cik=security["cik"], **known, periods=QUARTERS),
        "insider_sums": reads.row("api_stock_insider_sums", **who),
        "trades": reads.rows("api_stock_insiders", **known, most=TRADES),
        "owners": reads.rows("api_stock_owners", **who, quarters=4),
        "consensus": reads.row("api_stock_consensus", **who),
        "ratings": reads.rows("api_stock_ratings", **known, most=RATINGS),
        "mood": reads.row("api_stock_mood", **who),
        "articles": reads.rows("api_articles", **known, limit=ARTICLES),
    }
    found: dict[str, Any] = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
    found["statements"] = [_with_was(quarter) for quarter in found["statements"]]
    score, owners = found["score"], found["owners"]
    peers = await _peers(reads, score) if score and score["sector"] else {}
    newest = {"quarter": owners[0]["quarter"], "most": HOLDERS} if owners else None
    metrics = {row["metric"]: row | {"told": []} for row in found.pop("evidence")}
    told = found.pop("told")
    for row in told:
        metrics[row["metric"]]["told"].append(row)
    changed = await _changed(reads, security, board["session"]) if score else None
    return found | {
        "security": security,
        "board": board,
        "factors": [_factor(declared, score, peers, metrics) for declared in FACTORS] if score else [],
        "peers": peers,
        "titles": {row["key"]: row["title"] for row in told},
        "changed": changed,
        "restated": _restated(found["statements"], changed) if isinstance(changed, dict) else [],
        "lines": STATEMENT,
        "holders": await reads.rows("api_stock_holders", **known, **newest) if newest else [],
    }


async def _changed(reads: Reads, security: dict[str, Any], session: Any) -> dict[str, Any] | str:
    """What moved the score since the session before; in words why that cannot be said."""
    try:
        return await change(reads, security, session)
    except HTTPException as error:
        return str(error.detail)


def _with_was(quarter: dict[str, Any]) -> dict[str, Any]:
    """The quarter and, as `was`, its lines that the first version told otherwise, as that wrote them."""
    first = quarter["first_told"]
    lines = [(column, form) for column, _, form in STATEMENT if first[column] is not None]
    was = {column: written(first[column], form) for column, form in lines}
    return quarter | {"was": {c: was[c] for c, form in lines if was[c] != written(quarter[c], form)}}


def _restated(statements: list[dict[str, Any]], changed: dict[str, Any]) -> list[dict[str, Any]]:
    """The quarters that were known at the close of the session before, and restated since."""
    before = close_of(changed["before"])
    return [row for row in statements if row["was"] and row["first_known_at"] <= before < row["known_at"]]


async def prices_of(reads: Reads, who: dict[str, Any], bars: int) -> list[dict[str, Any]]:
    """The last bars with their indicators, in order, on the split basis of the last. who: security_id, session."""
    rows = await reads.rows("api_stock_prices", **who, bars=bars + BEFORE)
    return await asyncio.to_thread(_with_lines, rows, bars)  # TA-Lib's first import takes a second


def _with_lines(rows: list[dict[str, Any]], bars: int) -> list[dict[str, Any]]:
    from closingbell.prices.indicators import lines

    if not rows:
        return []
    values = {
        name: [None if np.isnan(value) else float(value) for value in line[-bars:]]
        for name, line in lines(np.array([row["close"] for row in rows])).items()
    }
    return [row | {name: line[at] for name, line in values.items()} for at, row in enumerate(rows[-bars:])]


async def _peers(reads: Reads, score: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{factor, or overall_score: its quartiles in the sector}."""
    rows = await reads.rows(
        "api_stock_peers", session=score["session"], sector=score["sector"], factors=[one.name for one in FACTORS]
    )
    return {row["name"]: row for row in rows}


def _factor(declared: Any, score: dict[str, Any], peers: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": declared.name,
        "weight": declared.weight,
        "sentence": declared.sentence,
        "score": score[declared.name],
        "peers": peers.get(declared.name),
        "metrics": [{"declared": metric, "found": metrics.get(metric.name)} for metric in declared.metrics],
    }


def filing_url(accession_no: str, cik: int | None) -> str | None:
    """Where SEC has a filing of a company."""
    if cik is None:
        return None
    return f"https://www.sec.gov/Archives/edgar/data/{cik}/{accession_no.replace('-', '')}/{accession_no}-index.htm"
