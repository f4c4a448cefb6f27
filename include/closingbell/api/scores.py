"""Routes of the scores: one security's, its history and evidence, and the board from the top or by conditions."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from closingbell.api.answers import RESPONSES, answer, base, not_found
from closingbell.api.models import (
    Board,
    Changes,
    Conditions,
    Evidence,
    FactorEvidence,
    FactorQuery,
    FactorScore,
    Filing,
    History,
    MetricEvidence,
    Offset,
    Point,
    Score,
    ScoreRow,
    Screen,
    SectorQuery,
    Session,
    Ticker,
    Told,
)
from closingbell.api.reads import Reads
from closingbell.scores.changes import changes
from closingbell.scores.factors import FACTORS

MOST_FILINGS = 50  # shown of a metric: thousands of institutions report a large company

router = APIRouter(prefix="/scores", tags=["scores"], responses=RESPONSES)


@router.get("/top", response_model=Board)
async def top(
    request: Request,
    sector: SectorQuery = None,
    min_score: Annotated[float, Query(ge=0, le=100)] = 0,
    session: Session = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Offset = 0,
) -> Response:
    """The best of the board. (A ticker TOP is asked for in capitals: /scores/TOP.)"""
    wanted = Conditions(sector=sector, min_score=min_score, session=session, limit=limit, offset=offset)
    return await _board(request, wanted)


@router.get("/screener", response_model=Board)
async def screener(request: Request, wanted: Annotated[Screen, Query()]) -> Response:
    """The securities within a least and a most of each factor; what has no data for a bounded factor is left out."""
    return await _board(request, wanted)


@router.get("/{ticker}", response_model=Score)
async def score(request: Request, ticker: Ticker, session: Session = None) -> Response:
    """One security's score."""
    security, row = await _scored(request, ticker, session)
    path = f"{base(request)}/scores/{security['ticker'] or ticker}"
    content = Score(
        **_score_row(request, row | {name: security[name] for name in ("ticker", "company_name")}),
        newest_session=security["newest"],
        links={
            "evidence": f"{path}/evidence?session={row['session']}",
            "changes": f"{path}/changes?session={row['session']}",
            "history": f"{path}/history?session={row['session']}",
        },
    )
    return answer(request, content, past=is_past(session, security["newest"]))


@router.get("/{ticker}/history", response_model=History)
async def history(
    request: Request,
    ticker: Ticker,
    days: Annotated[int, Query(ge=1, le=3660, description="calendar days that end with the newest score")] = 90,
    session: Session = None,
) -> Response:
    """A security's scores up to its newest one, or the newest one by `session`."""
    security = await known(request, ticker, session)
    rows = await request.app.state.reads.rows(
        "api_history", security_id=security["security_id"], session=security["session"], days=days
    )
    if not rows:
        raise not_found(f"{security['ticker']} has no score up to {security['session']}")
    points = [Point(**row, factors={factor.name: row[factor.name] for factor in FACTORS}) for row in rows]
    content = History(ticker=security["ticker"], security_id=security["security_id"], days=days, scores=points)
    return answer(request, content, past=is_past(session, security["newest"]))


@router.get("/{ticker}/evidence", response_model=Evidence)
async def evidence(
    request: Request,
    ticker: Ticker,
    session: Session = None,
    factor: FactorQuery = None,
) -> Response:
    """Every metric of a score: value, percentile among whom, the row and the filings it came from, and when known."""
    security, row = await _scored(request, ticker, session)
    asked = {"security_id": security["security_id"], "session": row["session"], "most": MOST_FILINGS}
    reads = request.app.state.reads
    found, told = await asyncio.gather(reads.rows("api_evidence", **asked), reads.rows("api_evidence_told", **asked))
    metrics = {one["metric"]: one | {"told": []} for one in found}
    for one in told:
        if one["metric"] in metrics:  # two statements: a score may be made again between them
            metrics[one["metric"]]["told"].append(one)
    content = Evidence(
        ticker=security["ticker"],
        security_id=security["security_id"],
        session=row["session"],
        overall_score=row["overall_score"],
        factors=[
            FactorEvidence(
                name=declared.name,
                explanation=declared.sentence,
                weight=declared.weight,
                score=row[declared.name],
                metrics=[_metric(one, metrics.get(one.name), security["cik"], row) for one in declared.metrics],
            )
            for declared in FACTORS
            if factor in (None, declared.name)
        ],
    )
    return answer(request, content, past=is_past(session, security["newest"]))


@router.get("/{ticker}/changes", response_model=Changes)
async def changed(request: Request, ticker: Ticker, session: Session = None) -> Response:
    """Which metrics moved the score since the one before, and by how much."""
    security, row = await _scored(request, ticker, session)
    facts = await change(request.app.state.reads, security, row["session"])
    return answer(request, Changes(**facts), past=is_past(session, security["newest"]))


async def change(reads: Reads, security: dict[str, Any], session: date) -> dict[str, Any]:
    """What moved the score of a session since the one before it, as `Changes`; 404 where there is none to compare."""
    who = {"security_id": security["security_id"], "session": session}
    rows = await reads.rows("api_inputs", **who)
    if not rows or rows[0]["session"] != session:
        raise not_found(f"what the score of {security['ticker']} on {session} is made of is gone: score it again")
    if len(rows) == 1:
        raise not_found(f"{security['ticker']} has no score before {session}")
    after, before = rows
    scored = {"score_before": before["overall_score"], "score_after": after["overall_score"]}
    try:
        parts = changes(before["inputs"], after["inputs"], **scored)
    except ValueError as error:  # one of them was made by other declarations
        raise not_found(f"{before['session']} and {session} do not compare: {error}; score both again") from None
    new: dict[str, list[dict[str, Any]]] = {}
    for one in await reads.rows("score_evidence_new", **who, before=before["session"]):
        new.setdefault(one["metric"], []).append(one)
    found = [(part, new.get(part["metric"], [])) for part in parts.iter_rows(named=True)]
    return {
        "ticker": security["ticker"],
        "security_id": security["security_id"],
        "session": session,
        "before": before["session"],
        **scored,
        "change": round(after["overall_score"] - before["overall_score"], 2),
        "parts": [part | {"new_evidence": of, "new_evidence_total": of[0]["total"] if of else 0} for part, of in found],
    }


async def known(request: Request, ticker: str, session: Any = None) -> dict[str, Any]:
    """security_id, cik, ticker, company_name, session (asked for, else the newest), newest; 404 for no security."""
    security = await request.app.state.reads.row("api_security", ticker=ticker, session=session)
    if security is None:
        raise not_found(f"no security bears or bore the ticker {ticker}")
    return security


async def _scored(request: Request, ticker: str, session: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    security = await known(request, ticker, session)
    row = await request.app.state.reads.row("api_score", security_id=security["security_id"], session=session)
    if row is None:
        when = f" on {session}; the newest board is that of {security['newest']}" if session else ""
        raise not_found(f"{security['ticker'] or ticker} has no score{when}")
    return security, row


async def _board(request: Request, wanted: Conditions) -> Response:
    rows = await request.app.state.reads.rows(
        "api_board", session=wanted.session, sector=wanted.sector, confidence=wanted.confidence, sort=wanted.sort,
        descending=wanted.order == "best", bounds=wanted.bounds(), limit=wanted.limit, offset=wanted.offset,
    )  # fmt: skip
    session, newest, total = (rows[0][name] for name in ("board_session", "newest", "total"))
    if session is None:
        raise not_found(f"there is no board of {wanted.session or 'any session'}; the newest is that of {newest}")
    content = Board(
        session=session,
        total=total,
        limit=wanted.limit,
        offset=wanted.offset,
        next=next_page(request, total, wanted.limit, wanted.offset),
        results=[ScoreRow(**_score_row(request, row)) for row in rows if row["security_id"] is not None],
    )
    return answer(request, content, past=is_past(wanted.session, newest))


def is_past(session: date | None, newest: date | None) -> bool:
    """Whether a session was asked for that only a correction changes."""
    return session is not None and newest is not None and session < newest


def next_page(request: Request, total: int, limit: int, offset: int) -> str | None:
    """The same request for the rows that follow; None where there are none."""
    if offset + limit >= total:
        return None
    asked = [(name, value) for name, value in request.query_params.multi_items() if name not in ("limit", "offset")]
    return f"{request.url.path}?{urlencode([*asked, ('limit', limit), ('offset', offset + limit)])}"


def _score_row(request: Request, row: dict[str, Any]) -> dict[str, Any]:
    path = f"{base(request)}/scores/{row['ticker']}/evidence?session={row['session']}&factor="
    factors = {
        factor.name: FactorScore(
            score=row[factor.name], weight=factor.weight, evidence=f"{path}{factor.name}" if row["ticker"] else None
        )
        for factor in FACTORS
    }
    return {name: row[name] for name in ScoreRow.model_fields if name != "factors"} | {"factors": factors}


def _metric(declared: Any, row: dict[str, Any] | None, cik: int | None, score: dict[str, Any]) -> MetricEvidence:
    found = row or {}
    source = found.get("source_key")
    return MetricEvidence(
        name=declared.name,
        explanation=f"{declared.sentence} {declared.stale_after}",
        higher_is_better=declared.higher_is_better,
        value=found.get("raw"),
        percentile=found.get("percentile"),
        peer_group=found.get("peer_group"),
        peers=found.get("n"),
        source=source,
        known_at=(found["known_at"] or score["known_at"]) if row else None,
        filings=[
            Filing(accession_no=number, url=_url(number, cik, source)) for number in found.get("accession_nos") or []
        ],
        filings_total=found.get("filings_total", 0),
        told=[Told(**one) for one in found.get("told", [])],
        answers_sha256=found.get("answers_sha256") or [],
    )


def _url(accession_no: str, cik: int | None, source: list[Any] | None) -> str | None:
    if cik is None or not source or source[0] == "institutional_ownership":  # filed by the institution, under its own
        return None
    folder = accession_no.replace("-", "")
    return f"https://www.sec.gov/Archives/edgar/data/{cik}/{folder}/{accession_no}-index.htm"
