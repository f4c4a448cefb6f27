"""How the API answers: JSON with an ETag and how long it may be kept, and errors as RFC 9457 problem documents."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException, Request, Response
from pydantic import BaseModel, Field

NEWEST_SECONDS = 60  # how long an answer may be kept that the next publish changes
PAST_SECONDS = 3600  # one about an earlier session, which only a correction changes
PROBLEM_JSON = "application/problem+json"
PREFIX = "/api"


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field("about:blank", examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no security bears or bore the ticker ZZZZ"])
    instance: str = Field(examples=["/api/scores/ZZZZ"])
    errors: list[dict[str, str]] = Field([], description="of a request that is wrong: which parameter, and why")


_ERRORS = {
    401: "No key, or one that is not in force",
    404: "There is nothing of the kind",
    422: "A parameter is wrong",
    429: "The key's rate is used up: see Retry-After",
    503: "The warehouse does not answer",
}
_CONTENT = {PROBLEM_JSON: {"schema": Problem.model_json_schema()}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    304: {"description": "Unchanged since the ETag of If-None-Match"},
    **{status: {"description": text, "content": _CONTENT} for status, text in _ERRORS.items()},
}


def answer(request: Request, content: BaseModel, *, past: bool = False) -> Response:
    """The content, or 304 where the asker has it. `past`: a session was asked for that is not the newest."""
    body = content.model_dump_json().encode()
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    seconds = PAST_SECONDS if past else NEWEST_SECONDS
    headers = {"ETag": etag, "Cache-Control": f"private, max-age={seconds}", "Vary": "X-API-Key, Cookie, Authorization"}
    headers |= getattr(request.state, "headers", {})
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """The error as a problem document, or as a page where a page was asked for; nothing keeps it."""
    from closingbell.api import scoreboard

    if scoreboard.is_page(request):
        return scoreboard.failure(request, status, HTTPStatus(status).phrase, detail, headers or {})
    content = Problem(
        type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail,
        instance=request.url.path, errors=errors or [],
    )  # fmt: skip
    headers = {"Cache-Control": "no-store"} | getattr(request.state, "headers", {}) | (headers or {})
    return Response(content.model_dump_json(), status_code=status, media_type=PROBLEM_JSON, headers=headers)


def base(request: Request) -> str:
    """The path under which the API stands here: /api, below where Airflow mounts it."""
    return f"{request.scope.get('root_path', '')}{PREFIX}"


def not_found(detail: str) -> HTTPException:
    """There is nothing of the kind."""
    return HTTPException(404, detail)
