"""Routes of version 1: stocks and their search, market data, sentiment."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from closingbell.api.answers import RESPONSES, answer, not_found
from closingbell.api.models import (
    Article,
    Bar,
    Bars,
    Day,
    Found,
    Offset,
    Quote,
    SectorQuery,
    Sentiment,
    Stock,
    StockNow,
    Stocks,
    Ticker,
)
from closingbell.api.scores import is_past, known, next_page
from closingbell.scores.factors import MAX_AGE_DAYS, Source
from closingbell.universe.tickers import normal_ticker

ARTICLES = 20

router = APIRouter(prefix="/v1", responses=RESPONSES)


@router.get("/stocks", response_model=Stocks, tags=["stocks"])
async def stocks(
    request: Request,
    sector: SectorQuery = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Offset = 0,
) -> Response:
    """Listed common shares, by symbol."""
    rows = await request.app.state.reads.rows("api_stocks", securities=None, sector=sector, limit=limit, offset=offset)
    total = rows[0]["total"]
    found = [Stock(**row) for row in rows if row["id"] is not None]
    following = next_page(request, total, limit, offset)
    return answer(request, Stocks(total=total, limit=limit, offset=offset, next=following, results=found))


@router.get("/stocks/search", response_model=Found, tags=["stocks"])
async def search(
    request: Request,
    q: Annotated[
        str,
        Query(
            min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$", examples=["alphabet"]
        ),
    ],
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> Response:
    """Stocks by ticker, by words of a name that the company has or had, or by a piece of one."""
    reads = request.app.state.reads
    hits = await reads.rows("api_search", words=q.strip(), ticker=normal_ticker(q) or None, limit=limit)
    order = [row["security_id"] for row in hits]
    rows = await reads.rows("api_stocks", securities=order, sector=None, limit=limit, offset=0) if order else []
    by_id = {row["id"]: Stock(**row) for row in rows if row["id"] is not None}
    return answer(request, Found(results=[by_id[security] for security in order if security in by_id]))


@router.get("/stocks/{symbol}", response_model=StockNow, tags=["stocks"])
async def stock(request: Request, symbol: Ticker) -> Response:
    """One stock with its newest market data and sentiment."""
    security = await known(request, symbol)
    rows = await request.app.state.reads.rows(
        "api_stocks", securities=[security["security_id"]], sector=None, limit=1, offset=0
    )
    if rows[0]["id"] is None:
        raise not_found(f"{symbol} is no stock")
    quote, mood = await _quote(request, security), await _sentiment(request, security)
    return answer(request, StockNow(**rows[0], market_data=quote, sentiment=mood))


@router.get("/market-data/{symbol}/latest", response_model=Quote, tags=["market data"])
async def latest(request: Request, symbol: Ticker) -> Response:
    """The newest session's bar and valuation."""
    security = await known(request, symbol)
    if (quote := await _quote(request, security)) is None:
        raise not_found(f"{security['ticker'] or symbol} has no bar")
    return answer(request, quote)


@router.get("/market-data/{symbol}/history", response_model=Bars, tags=["market data"])
async def bars(
    request: Request,
    symbol: Ticker,
    start_date: Annotated[Day | None, Query(examples=["2025-11-03"])] = None,
    end_date: Annotated[Day | None, Query(examples=["2025-12-05"])] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
    offset: Offset = 0,
) -> Response:
    """Bars as their vendor gave them, in order: as traded, where `adjusted_as_of` is null."""
    if start_date and end_date and start_date > end_date:
        raise not_found(f"there is no day from {start_date} to {end_date}: end_date is before start_date")
    security = await known(request, symbol, end_date)
    rows = await request.app.state.reads.rows(
        "api_bars", security_id=security["security_id"], first=start_date, last=end_date, limit=limit, offset=offset
    )
    if not (total := rows[0]["total"]):
        raise not_found(f"{security['ticker'] or symbol} has no bar from {start_date or 'ever'} to {end_date or 'now'}")
    found = [Bar(**row) for row in rows if row["session"] is not None]
    following = next_page(request, total, limit, offset)
    content = Bars(
        symbol=security["ticker"], total=total, limit=limit, offset=offset, next=following, results=found
    )  # fmt: skip
    return answer(request, content, past=is_past(end_date, security["newest"]))


@router.get("/sentiment/{symbol}/latest", response_model=Sentiment, tags=["sentiment"])
async def sentiment(request: Request, symbol: Ticker) -> Response:
    """How the news reads, by whose account, and the articles."""
    security = await known(request, symbol)
    if (mood := await _sentiment(request, security)) is None:
        raise not_found(f"{security['ticker'] or symbol} has no sentiment")
    return answer(request, mood)


async def _quote(request: Request, security: dict[str, Any]) -> Quote | None:
    row = await request.app.state.reads.row("api_market", security_id=security["security_id"])
    if row is None:
        return None
    before, change, percent = row["previous_close"], None, None
    if before is not None:
        row["previous_close"] = before = round(before, 6)
        change = round(row["close"] - before, 6)
        percent = round(100 * change / before, 4) if before else None
    return Quote(**row, symbol=security["ticker"], change=change, change_percent=percent)


async def _sentiment(request: Request, security: dict[str, Any]) -> Sentiment | None:
    reads = request.app.state.reads
    row = await reads.row("api_sentiment", security_id=security["security_id"], days=MAX_AGE_DAYS[Source.SENTIMENT])
    if row is None:
        return None
    articles = await reads.rows(
        "api_articles", security_id=security["security_id"], known_at=row["known_at"], limit=ARTICLES
    )
    return Sentiment(**row, symbol=security["ticker"], articles=[Article(**one) for one in articles])
