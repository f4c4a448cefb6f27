"""Benzinga as it answers. Source: its reference of the Calendar API v2.1 and of the removed entries."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from closingbell.sandbox.vendors.answers import Asked, Box, Reply, json_reply, routes

PAGE, LARGEST_PAGE, LARGEST_OFFSET, TICKERS = 100, 1000, 100_000, 50


def refused(headers: Any, query: Any) -> Reply | None:
    """What Benzinga says to who asks without its key."""
    key = headers.get("authorization", "").removeprefix("token ").strip() or query.get("token", "")
    if key and key != "wrong":
        return None
    said = "Invalid or missing authentication token"
    return json_reply({"ok": False, "errors": [{"code": "auth_failed", "id": "unauthorized", "value": said}]}, 401)


def _ratings(box: Box, asked: Asked) -> Reply | None:
    query = asked.query
    tickers = [ticker for ticker in query.get("parameters[tickers]", "").split(",") if ticker]
    if len(tickers) > TICKERS:
        raise ValueError(f"at most {TICKERS} tickers")
    first, last = (_day(query.get(f"parameters[{name}]")) for name in ("date_from", "date_to"))
    rows = box.listed("benzinga_ratings", tuple(tickers), first, last, _since(query, "parameters[updated]"), asked.now)
    return _page(query, "ratings", rows)


def _removed(box: Box, asked: Asked) -> Reply | None:
    rows = box.listed("benzinga_removed", _since(asked.query, "updated"), asked.now)
    return _page(asked.query, "removed", rows)


def _page(query: Any, name: str, rows: list[dict[str, Any]]) -> Reply:
    page, size = int(query.get("page", 0)), int(query.get("pagesize", PAGE))
    if not 1 <= size <= LARGEST_PAGE or not 0 <= page * size <= LARGEST_OFFSET:
        raise ValueError(f"pages hold 1 to {LARGEST_PAGE} rows, up to row {LARGEST_OFFSET}")
    part = rows[page * size : (page + 1) * size]
    return json_reply({name: part} if part else [])


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _since(query: Any, name: str) -> datetime | None:
    return datetime.fromtimestamp(int(query[name]), UTC) if query.get(name) else None


ROUTES = routes(
    ("calendar_ratings", r"/api/v2\.1/calendar/ratings/?", _ratings),
    ("calendar_removed", r"/api/v2\.1/calendar-removed/?", _removed),
)
