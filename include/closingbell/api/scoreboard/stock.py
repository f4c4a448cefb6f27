"""A stock's page: everything that was known of it at the close of a session, each number with where it came from.

In: rows of the api_*.sql queries. Out: facts for stock.html.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import date, timedelta
from typing import Any

import numpy as np
from fastapi import HTTPException

from closingbell.api.reads import Reads
from closingbell.api.scoreboard import written
from closingbell.api.scores import change
from closingbell.scores.factors import FACTORS, FEWEST_FILERS, MAX_AGE_DAYS, REPORTS_DUE_DAYS, Source
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
    quarters = {"cik": security["cik"], **who, "periods": QUARTERS}
    asked: dict[str, Awaitable[Any]] = {
        "score": reads.row("api_score", **who),
        "quote": reads.row("api_stock_quote", **who),
        "prices": prices_of(reads, who, BARS),
        "scores": reads.rows("api_history", **who, days=SHOWN),
        "evidence": reads.rows("api_evidence", **who, most=FILINGS),
        "told": reads.rows("api_evidence_told", **who, most=FILINGS),
        "statements": reads.rows("api_stock_statements", **quarters, known_at=board["known_at"]),
        "insider_sums": reads.row("api_stock_insider_sums", **who, days=MAX_AGE_DAYS[Source.INSIDERS]),
        "trades": reads.rows("api_stock_insiders", **known, most=TRADES),
        "owners": reads.rows("api_stock_owners", **who, known_at=board["known_at"], quarters=4),
        "consensus": reads.row("api_stock_consensus", **who, days=MAX_AGE_DAYS[Source.CONSENSUS]),
        "ratings": reads.rows("api_stock_ratings", **known, session=board["session"], most=RATINGS),
        "mood": reads.row("api_stock_mood", **who, days=MAX_AGE_DAYS[Source.SENTIMENT]),
        "articles": reads.rows("api_articles", **known, limit=ARTICLES),
    }
    found: dict[str, Any] = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
    quote = found["quote"]
    splits_told = not (
        quote and quote["source"] == "polygon" and quote["adjusted_as_of"]
    )  # they are in the prices alone
    found["statements"] = [_with_was(row, row["first_told"], splits_told) for row in found["statements"]]
    adjusted = [row["adjusted_as_of"] for row in found["prices"] if row["adjusted_as_of"]]
    found["prices"] = found["prices"][-SHOWN:]
    score = found["score"]
    found["owners"] = owners = [row | {"whole": _is_whole(row, board["session"])} for row in found["owners"]]
    peers = await _peers(reads, score) if score and score["sector"] else {}
    quarter = next((row["quarter"] for row in owners if row["whole"]), owners[0]["quarter"] if owners else None)
    metrics = {row["metric"]: row | {"told": []} for row in found.pop("evidence")}
    told = found.pop("told")
    for row in told:
        if row["metric"] in metrics:  # two statements: a score may be made again between them
            metrics[row["metric"]]["told"].append(row)
    changed = await _changed(reads, security, board["session"]) if score else None
    restated = []
    if isinstance(changed, dict):
        before = await reads.rows("api_stock_statements", **quarters, known_at=close_of(changed["before"]))
        restated = _restated(found["statements"], before, splits_told)
    return found | {
        "security": security,
        "board": board,
        "factors": [_factor(declared, score, peers, metrics) for declared in FACTORS] if score else [],
        "peers": peers,
        "titles": {row["key"]: row["title"] for row in told},
        "changed": changed,
        "restated": restated,
        "splits_told": splits_told,
        "adjusted": max(adjusted, default=None),
        "lines": STATEMENT,
        "held_on": quarter,
        "holders": await reads.rows("api_stock_holders", **known, quarter=quarter, most=HOLDERS) if quarter else [],
    }


def _is_whole(row: dict[str, Any], session: date) -> bool:
    """Whether the reports of a quarter are due and those of a handful are not all, as the factor asks."""
    is_due = row["quarter"] <= session - timedelta(days=REPORTS_DUE_DAYS)
    return is_due and bool(row["filers"] >= FEWEST_FILERS * row["filers_before"])


async def _changed(reads: Reads, security: dict[str, Any], session: Any) -> dict[str, Any] | str:
    """What moved the score since the session before; in words why that cannot be said."""
    try:
        return await change(reads, security, session)
    except HTTPException as error:
        return str(error.detail)


def _with_was(now: dict[str, Any], then: dict[str, Any], splits_told: bool) -> dict[str, Any]:
    """The quarter and, as `was`, its lines that another version told otherwise, as that wrote them."""
    currency, was = now["currency"], {}
    for column, _, form in STATEMENT:
        if currency != then["currency"] or then[column] is None:
            continue
        if form == "share" and now[column] is not None:
            differs = _share_differs(now, then, column) and (
                splits_told or "net_income" in was
            )  # else it may be a split
        else:
            differs = written(now[column], form, currency) != written(then[column], form, currency)
        if differs:
            was[column] = written(then[column], form, currency)
    return now | {"was": was}


def _share_differs(now: dict[str, Any], then: dict[str, Any], column: str) -> bool:
    if now["shares"] == then["shares"]:
        return written(now[column], "share", now["currency"]) != written(then[column], "share", now["currency"])
    cents = 0.005 / now["shares"] + 0.005 / then["shares"]  # each was rounded on the split basis of its filing
    return bool(abs(now[column] - then[column]) > cents + 1e-9)


def _restated(now: list[dict[str, Any]], before: list[dict[str, Any]], splits_told: bool) -> list[dict[str, Any]]:
    """The quarters that were known before, and are told otherwise now."""
    then = {row["period_end"]: row for row in before}
    found = [_with_was(row, then[row["period_end"]], splits_told) for row in now if row["period_end"] in then]
    return [row for row in found if row["was"]]


async def prices_of(reads: Reads, who: dict[str, Any], bars: int) -> list[dict[str, Any]]:
    """The last bars with their indicators, in order, on the split basis of the session. who: security_id, session."""
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
