"""What a request below a vendor's prefix is, and what a handler of it gives."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

import msgspec

JSON = "application/json"
HTML = "text/html"
XML = "application/xml"
XML_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(slots=True)
class Reply:
    """A whole answer, or a stream of chunks. `endpoint` is the hooks' name for it, which faults go by."""

    status: int
    body: bytes | Iterator[bytes]
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request below a vendor's prefix: path without the prefix, its match, query and headers, and the clock."""

    match: re.Match[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    now: datetime
    body: bytes = b""

    def day(self, name: str, default: date) -> date:
        """A date of the query; raises ValueError where it is none."""
        return date.fromisoformat(self.query[name]) if self.query.get(name) else default


class Box(Protocol):
    stories_left: int | None
    """What answers a request: the market of the sandbox, one thread at a time."""

    market: Any

    def call(self, method: str, *args: Any) -> Any:
        """The market's answer; None for a key that it does not know."""

    def listed(self, method: str, *args: Any) -> list[dict[str, Any]]:
        """Rows that are asked for page by page."""


Handler = Callable[[Box, Asked], Reply | None]
Route = tuple[str, re.Pattern[str], Handler]


def json_reply(content: Any, status: int = 200) -> Reply:
    """The content as JSON."""
    return Reply(status, msgspec.json.encode(content))


def ok(answer: Any, content_type: str = JSON) -> Reply | None:
    """The market's answer; None where it has none."""
    body = as_bytes(answer)
    return None if body is None else Reply(200, body, content_type)


def as_bytes(answer: Any) -> bytes | None:
    """Bytes as they are, text in UTF-8, anything else as JSON."""
    if answer is None or isinstance(answer, bytes):
        return answer
    return answer.encode() if isinstance(answer, str) else msgspec.json.encode(answer)


def as_rows(answer: Any) -> list[dict[str, Any]]:
    """Rows of a list, or of a body that holds them under `results`."""
    answer = msgspec.json.decode(answer) if isinstance(answer, bytes | str) else answer
    if isinstance(answer, dict):
        answer = answer.get("results")
    return list(answer or ())


def page(title: str) -> bytes:
    """A page of HTML that says this."""
    return f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n".encode()


def request_id(path: str) -> str:
    """The same for the same path: equal questions get equal bytes."""
    return base64.b16encode(path.encode()[-16:].rjust(16, b"0")).decode().lower()


def iso_date(text: str | None, default: date) -> date:
    """The date, or the default where none is given."""
    return date.fromisoformat(text) if text else default


def routes(*routes: tuple[str, str, Handler]) -> tuple[Route, ...]:
    """(the hooks' endpoint name, the vendor's path, what answers it) with the paths compiled."""
    return tuple((endpoint, re.compile(pattern), handler) for endpoint, pattern, handler in routes)
