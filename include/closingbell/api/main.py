"""The API and the scoreboard as an application: `uvicorn closingbell.api.main:app` with keys, or mounted in Airflow
behind its login.

Every route but /health needs one of the two. Neither the description nor anything else is served without; pages answer
who has no key with the form that takes one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException as AnyHTTPException

from closingbell.api import scoreboard, scores, stocks
from closingbell.api.answers import PREFIX, problem
from closingbell.api.keys import Keys, Rates
from closingbell.api.models import Freshness, Health
from closingbell.api.reads import Reads, Shared, Unavailable, published_ago
from closingbell.api.scoreboard import coverage, routes

log = logging.getLogger(__name__)

HEALTH_SECONDS = 5.0  # anybody may ask for it, so it is asked of the warehouse no more often
LOOK_SECONDS = 3.0  # less than a probe waits
AGAIN_SECONDS = "5"  # after which a caller may try a warehouse that did not answer

DESCRIPTION = """
Daily scores (1 to 100) of US stocks by ten factors, each as known at the close of its session, with the evidence it
stands on; and the market data and news sentiment beside them.

A ticker that was given up leads to the security that it became. Lists have `limit` and `offset`, and the path of the
`next` page. An answer may be kept as its `Cache-Control` says, and asked for again with its `ETag` in `If-None-Match`.
Errors are problem documents (RFC 9457). `RateLimit-Remaining` says how many requests a key has left at once, and
`Retry-After` of a 429 or a 503 when to come again.
"""

_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="made by `closingbell api-key make`")


async def with_key(request: Request, key: Annotated[str | None, Security(_key_header)]) -> None:
    """Let a caller pass whose key is in force and whose rate is not used up: 401 and 429 else.

    A browser has it as a cookie.
    """
    state = request.app.state
    key = key or request.cookies.get(scoreboard.COOKIE)
    caller = await state.keys.find(key) if key else None
    if caller is None:
        detail = "this key is not in force" if key else "a key is needed, in the header X-API-Key"
        raise HTTPException(401, detail, headers={"WWW-Authenticate": 'ApiKey realm="closing-bell"'})
    left, wait = state.rates.take(caller)
    request.state.headers = {"RateLimit-Limit": str(caller.tier.burst), "RateLimit-Remaining": str(left)}
    if wait:
        detail = f"more than {caller.tier.per_minute} requests a minute, or {caller.tier.burst} at once"
        raise HTTPException(429, detail, headers={"Retry-After": str(int(wait) + 1)})


def make_app(guard: Any = with_key) -> FastAPI:
    """The application. guard: the dependency that every route but /health has."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.reads.close()

    app = FastAPI(
        title="Closing Bell",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # its pages would come from another host
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.sign_in = guard is with_key
    remember(app, Reads())

    guarded = APIRouter(prefix=PREFIX, dependencies=[Depends(guard)])
    guarded.include_router(scores.router)
    guarded.include_router(stocks.router)

    @guarded.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        return JSONResponse(app.openapi() | {"servers": [{"url": request.scope.get("root_path") or "/"}]})

    app.include_router(guarded)
    app.include_router(routes.pages, dependencies=[Depends(guard)])
    if app.state.sign_in:
        app.include_router(routes.way_in)  # asks for the key that the form has
    app.add_api_route(
        "/health", health, response_model=Health, tags=["health"], responses={503: {"model": Health}}
    )  # fmt: skip
    app.add_exception_handler(AnyHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(Unavailable, _away)
    app.add_exception_handler(Exception, _failed)
    return app


def remember(app: FastAPI, reads: Reads) -> None:
    """What a process keeps between requests: the way to the warehouse, keys, rates, and the last look at its health."""
    app.state.reads = reads
    app.state.keys, app.state.rates = Keys(reads), Rates()
    app.state.health, app.state.look = (float("-inf"), None), Shared(partial(_look, app))
    app.state.coverage = coverage.Kept(coverage.covered, coverage.COVERAGE_SECONDS)
    app.state.stale = coverage.Kept(coverage.stale, coverage.STALE_SECONDS)


def mounted() -> FastAPI:
    """The application for Airflow's server to mount, with Airflow's own pages: who may see its plugins may ask."""
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.core_api.security import requires_access_view

    from closingbell.orchestration import pages

    app = make_app(requires_access_view(AccessView.PLUGINS))
    app.include_router(pages.make_app().router, include_in_schema=False)
    return app


async def health(request: Request) -> Response:
    """Whether the warehouse answers, and when each table was published last; 503 where it does not."""
    state = request.app.state
    if time.monotonic() - state.health[0] > HEALTH_SECONDS:
        await state.look()
    content = state.health[1]
    status = 200 if content.status == "ok" else 503
    return Response(
        content.model_dump_json(), status, {"Cache-Control": "no-store"}, media_type="application/json"
    )  # fmt: skip


async def _look(app: FastAPI) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            newest = await app.state.reads.row("api_newest")
            published = await published_ago(app.state.reads)
        content = Health(
            status="ok",
            database="ok",
            newest_session=newest["session"] if newest else None,
            tables=[Freshness(table=name, seconds_ago=seconds) for name, seconds in published.items()],
        )
    except (Unavailable, TimeoutError, asyncpg.PostgresError) as error:  # the last: without its tables, or the right
        log.warning("health: %s", error or "no answer")
        content = Health(status="unavailable", database="unavailable", newest_session=None, tables=[])
    app.state.health = (time.monotonic(), content)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    return problem(request, error.status_code, str(error.detail), headers=dict(error.headers or {}))


async def _wrong(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"parameter": ".".join(map(str, one["loc"][1:])) or str(one["loc"][0]), "message": str(one["msg"])}
        for one in error.errors()
    ]
    detail = "; ".join(f"{one['parameter']}: {one['message']}" for one in errors)
    return problem(request, 422, detail, errors=errors)


async def _away(request: Request, error: Exception) -> Response:
    log.warning("%s: %s", request.url.path, error)
    return problem(request, 503, "the warehouse does not answer", headers={"Retry-After": AGAIN_SECONDS})


async def _failed(request: Request, error: Exception) -> Response:
    return problem(request, 500, "an error of the server; its log has it")  # the server logs and raises it


app = make_app()
