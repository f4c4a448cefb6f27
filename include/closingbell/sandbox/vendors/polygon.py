"""Polygon (Massive) as it answers, its paging included. Source: its OpenAPI description."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from closingbell.sandbox.vendors.answers import Asked, Box, Reply, as_rows, iso_date, json_reply, request_id, routes
from closingbell.sessions import NEW_YORK

POLYGON_PAGE, POLYGON_LARGEST_PAGE = 100, 1000


def _grouped(box: Box, asked: Asked) -> Reply | None:
    session = date.fromisoformat(asked.match["day"])
    adjusted = asked.query.get("adjusted", "true") == "true"
    answer = box.call("grouped_daily", session, asked.now)
    rows, said = as_rows(answer), answer if isinstance(answer, dict) else {}
    body: dict[str, Any] = {
        "queryCount": len(rows),
        "resultsCount": len(rows),
        "adjusted": said.get("adjusted", adjusted),
        "results": rows,
        "status": "OK",
        "request_id": request_id(asked.match.string),
        "count": len(rows),
    }
    if not rows:
        body = {name: value for name, value in body.items() if name not in ("results", "count")}
    return json_reply(body)


def _tickers(box: Box, asked: Asked) -> Reply | None:
    query = _resumed(asked)
    rows = box.listed("polygon_tickers", query.get("active", "true") == "true", asked.now)
    for name in ("ticker", "type", "cik"):
        if query.get(name):
            rows = [row for row in rows if str(row.get(name, "")).lstrip("0") == query[name].lstrip("0")]
    return _paged(asked, query, sorted(rows, key=lambda row: row["ticker"]))


def _splits(box: Box, asked: Asked) -> Reply | None:
    return _dated(box, asked, "polygon_splits", "execution_date")


def _dividends(box: Box, asked: Asked) -> Reply | None:
    return _dated(box, asked, "polygon_dividends", "ex_dividend_date")


def _dated(box: Box, asked: Asked, method: str, name: str) -> Reply:
    query = _resumed(asked)
    exact = query.get(name)
    first = iso_date(exact or query.get(f"{name}.gte"), date(1970, 1, 1))
    last = iso_date(exact or query.get(f"{name}.lte"), date(2100, 1, 1))
    first = max(first, iso_date(query.get(f"{name}.gt"), date(1970, 1, 1) - timedelta(days=1)) + timedelta(days=1))
    last = min(last, iso_date(query.get(f"{name}.lt"), date(2100, 1, 2)) - timedelta(days=1))
    rows = box.listed(method, first, last, asked.now)
    if query.get("ticker"):
        rows = [row for row in rows if row["ticker"] == query["ticker"]]
    rows = sorted(rows, key=lambda row: (row[name], row["ticker"]), reverse=query.get("order", "desc") == "desc")
    return _paged(asked, query, rows)


def _paged(asked: Asked, query: Mapping[str, str], rows: list[dict[str, Any]]) -> Reply:
    limit = int(query.get("limit", POLYGON_PAGE))
    if not 1 <= limit <= POLYGON_LARGEST_PAGE:
        raise ValueError(f"limit must be from 1 to {POLYGON_LARGEST_PAGE}")
    start = int(query.get("_start", 0))
    page = rows[start : start + limit]
    body = {"results": page, "status": "OK", "request_id": request_id(asked.match.string), "count": len(page)}
    if start + limit < len(rows):
        state = urlencode({**query, "_start": start + limit})
        cursor = base64.urlsafe_b64encode(state.encode()).decode().rstrip("=")
        # the vendor names its own host, whatever host was asked
        body["next_url"] = f"https://api.polygon.io{asked.match.string}?cursor={cursor}"
    return json_reply(body)


def _resumed(asked: Asked) -> dict[str, str]:
    """The query of the first page: a cursor carries it."""
    cursor = asked.query.get("cursor")
    if not cursor:
        return {name: value for name, value in asked.query.items() if name not in ("apiKey", "_start")}
    state = dict(parse_qsl(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("utf-8", "replace")))
    if not state.get("_start", "").isdigit():
        raise ValueError("cursor is not one of ours")
    return state


def _details(box: Box, asked: Asked) -> Reply | None:
    day = asked.day("date", asked.now.astimezone(NEW_YORK).date())
    return _result(asked, box.call("ticker_details", asked.match["ticker"], day, asked.now))


def _events(box: Box, asked: Asked) -> Reply | None:
    return _result(asked, box.call("ticker_events", asked.match["ticker"], asked.now))


def _result(asked: Asked, answer: Any) -> Reply | None:
    if answer is None:
        return None
    answer = msgspec.json.decode(answer) if isinstance(answer, bytes | str) else answer
    results = answer["results"] if isinstance(answer, dict) and "results" in answer else answer
    return json_reply({"request_id": request_id(asked.match.string), "results": results, "status": "OK"})


def _market_status(box: Box, asked: Asked) -> Reply | None:
    return json_reply({"market": "closed", "afterHours": False, "earlyHours": False, "serverTime": asked.now})


_DAY = r"(?P<day>\d{4}-\d{2}-\d{2})"
ROUTES = routes(
    ("grouped_daily", rf"/v2/aggs/grouped/locale/us/market/stocks/{_DAY}", _grouped),
    ("tickers", r"/v3/reference/tickers", _tickers),
    ("splits", r"/v3/reference/splits", _splits),
    ("dividends", r"/v3/reference/dividends", _dividends),
    ("ticker_details", r"/v3/reference/tickers/(?P<ticker>[^/]+)", _details),
    ("ticker_events", r"/vX/reference/tickers/(?P<ticker>[^/]+)/events", _events),
    ("market_status", r"/v1/marketstatus/now", _market_status),
)
