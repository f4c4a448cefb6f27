"""The pages' routes: the board and its download, a stock and its charts, and the way in with a key."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from closingbell.api import scoreboard
from closingbell.api.answers import not_found
from closingbell.api.models import Session, Ticker
from closingbell.api.reads import published_ago
from closingbell.api.scoreboard import board, charts, page, stock
from closingbell.api.scores import known
from closingbell.universe.sectors import sectors

SIGNED_IN_SECONDS = 30 * 86400
MOST_FORM_BYTES = 4096

pages = APIRouter(prefix=scoreboard.PREFIX, include_in_schema=False)
way_in = APIRouter(prefix=scoreboard.PREFIX, include_in_schema=False)


@pages.get("")
async def the_board(request: Request, wanted: Annotated[board.Wanted, Query()]) -> Response:
    """The board of a session: a page of the rows that were asked for."""
    found, rows = await _board(request, wanted, told=True)
    chosen = board.chosen(rows, wanted)
    last = max(1, -(-len(chosen) // board.PAGE))
    number = min(wanted.page, last)
    return page(
        request,
        "board.html",
        board=found,
        wanted=wanted,
        asked=wanted.asked(),
        rows=chosen[(number - 1) * board.PAGE : number * board.PAGE],
        total=len(chosen),
        scored=len(rows),
        number=number,
        last=last,
        ratings={name: sum(row["rating"] == name for row in rows) for name in board.RATING_NAMES},
        sectors=sectors(),
    )


@pages.get("/board.csv")
async def download(request: Request, wanted: Annotated[board.Wanted, Query()]) -> Response:
    """Every row that was asked for, as CSV."""
    found, rows = await _board(request, wanted)
    return scoreboard.packed(
        request,
        board.as_csv(board.chosen(rows, wanted)).encode(),
        headers={
            "Content-Disposition": f'attachment; filename="closing-bell-{found["session"]}.csv"',
            "Cache-Control": "private, no-cache",
        },
        media_type="text/csv; charset=utf-8",
    )


@pages.get("/stocks/{ticker}")
async def the_stock(request: Request, ticker: Ticker, session: Session = None) -> Response:
    """What was known of a stock at the close of a session, and where it came from."""
    found = await _session(request, session, told=True)
    security = await known(request, ticker, found["session"])
    facts = await stock.facts(request.app.state.reads, security, found)
    return page(
        request,
        "stock.html",
        **facts,
        asked={"session": session} if session else {},
        bokeh=scoreboard.static_url(request, "bokeh.min.js"),
        filing_url=stock.filing_url,
    )


@pages.get("/stocks/{ticker}/charts.json")
async def the_charts(
    request: Request, ticker: Ticker, session: Session = None, theme: charts.Theme = "light", wide: bool = False
) -> Response:
    """Prices with their indicators, and the score's history, for BokehJS; `wide`: there is room for more labels."""
    found = await _session(request, session)
    who = {"security_id": (await known(request, ticker, found["session"]))["security_id"], "session": found["session"]}
    reads = request.app.state.reads
    bars, scores = await asyncio.gather(
        stock.prices_of(reads, who, stock.BARS),
        reads.rows("api_history", **who, days=stock.HISTORY_DAYS),
    )
    drawn = await asyncio.to_thread(_drawn, bars, scores, theme, wide)
    headers = {"Cache-Control": "private, max-age=60"}
    return scoreboard.packed(request, drawn, headers=headers, media_type="application/json")


def _drawn(bars: list[dict[str, Any]], scores: list[dict[str, Any]], theme: charts.Theme, wide: bool) -> bytes:
    return json.dumps(
        {
            "prices": charts.prices(bars, theme, wide) if bars else None,
            "history": charts.history(scores, theme, wide) if scores else None,
        }
    ).encode()


@pages.get("/coverage")
async def the_coverage(request: Request, session: Session = None) -> Response:
    """How many of the universe each table and factor has data of, how old, against the goals; and what is published."""
    found = await _session(request, session, told=True)
    fresh = await published_ago(request.app.state.reads)
    lines = await request.app.state.coverage.of(found["session"])
    asked = {"session": session} if session else {}
    return page(request, "coverage.html", board=found, lines=lines, fresh=fresh, asked=asked)


@pages.get("/static/{version}/{name}")
async def file(request: Request, version: str, name: str) -> Response:
    """A script that the pages load."""
    if (found := scoreboard.static(request, name)) is None:
        raise not_found("there is no such file")
    return found


@way_in.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Keep the key of the form as a cookie that no script reads, where it is in force; 401 else."""
    from closingbell.api.main import with_key

    form = parse_qs(await _body(request))
    key = form.get("key", [""])[0].strip()
    await with_key(request, key)
    answer = RedirectResponse(_following(request, form.get("following", [""])[0]), 303)
    answer.set_cookie(
        scoreboard.COOKIE,
        key,
        max_age=SIGNED_IN_SECONDS,
        path=request.scope.get("root_path", "") or "/",
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="lax",
    )
    return answer


@pages.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Forget the key."""
    answer = RedirectResponse(scoreboard.root(request), 303)
    answer.delete_cookie(scoreboard.COOKIE, path=request.scope.get("root_path", "") or "/")
    return answer


async def _body(request: Request) -> str:
    body = b""
    async for part in request.stream():
        if len(body := body + part) > MOST_FORM_BYTES:
            raise HTTPException(413, f"a form of more than {MOST_FORM_BYTES} bytes")
    return body.decode("latin-1")


def _following(request: Request, wanted: str) -> str:
    """The page that was asked for before; none of another host."""
    root, parts = scoreboard.root(request), urlsplit(wanted)
    here = not parts.scheme and not parts.netloc and f"{parts.path}/".startswith(f"{root}/") and "\\" not in wanted
    return wanted if here else root


async def _session(request: Request, wanted: Any, *, told: bool = False) -> dict[str, Any]:
    """The scored session that was asked for, or the last before it; 404 before anything was scored.

    told: with why its scores are older than what they are made of.
    """
    found = await request.app.state.reads.row("api_board_session", session=wanted)
    if found is None:
        raise not_found("no session is scored yet: the first board comes with the first run of scores")
    return found | {"asked": wanted, "stale": await request.app.state.stale.of(found["session"]) if told else ()}


async def _board(
    request: Request, wanted: board.Wanted, *, told: bool = False
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    found = await _session(request, wanted.session, told=told)
    rows = await request.app.state.reads.rows("api_board_rows", session=found["session"], before=found["before"])
    return found, rows
