"""News as its vendors answer: Polygon's and Tiingo's paths, Marketaux, Gemini, and the declared web pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from closingbell.sandbox.vendors.answers import HTML, XML, Asked, Box, Reply, as_bytes, json_reply, ok, routes
from closingbell.sandbox.vendors.polygon import _paged, _resumed

TIINGO_LARGEST = 1000


def polygon_news(box: Box, asked: Asked) -> Reply | None:
    query = _resumed(asked)
    first = _moment(query.get("published_utc.gte"), asked.now - timedelta(days=7))
    last = _moment(query["published_utc.lt"], asked.now) if query.get("published_utc.lt") else None
    rows = box.listed("polygon_news", first, last, query.get("ticker"), asked.now)
    if query.get("order", "desc") == "desc":
        rows = rows[::-1]
    return _paged(asked, query, rows)


def tiingo_news(box: Box, asked: Asked) -> Reply | None:
    today = asked.now.date()
    first, last = asked.day("startDate", today - timedelta(days=30)), asked.day("endDate", today)
    tickers = [name.upper().replace("-", ".") for name in asked.query.get("tickers", "").split(",") if name]
    limit, offset = int(asked.query.get("limit", 100)), int(asked.query.get("offset", 0))
    if not 1 <= limit <= TIINGO_LARGEST:
        raise ValueError(f"limit must be from 1 to {TIINGO_LARGEST}")
    answer = box.call("tiingo_news", first, last, tickers, asked.now)
    return ok(None if answer is None else answer[offset : offset + limit])


def _marketaux(box: Box, asked: Asked) -> Reply | None:
    if box.stories_left == 0:
        error = {"code": "usage_limit_reached", "message": "The usage limit for this account has been reached."}
        return json_reply({"error": error}, 402)
    if box.stories_left is not None:
        box.stories_left -= 1
    after = _moment(asked.query.get("published_after"), asked.now - timedelta(days=30))
    limit, number = min(int(asked.query.get("limit", 3)), 20), int(asked.query.get("page", 1))
    symbols = asked.query.get("symbols", "")
    before = _moment(asked.query.get("published_before"), asked.now + timedelta(seconds=1))
    until = min(asked.now, before - timedelta(microseconds=1))
    rows = box.call("marketaux_news", symbols, after, until) or []
    if asked.query.get("filter_entities") == "true":
        rows = [row | {"entities": [of for of in row["entities"] if of["symbol"] == symbols]} for row in rows]
    shown = rows[(number - 1) * limit : number * limit]
    meta = {"found": len(rows), "returned": len(shown), "limit": limit, "page": number}
    return json_reply({"meta": meta, "data": shown})


def _gemini(box: Box, asked: Asked) -> Reply | None:
    return ok(box.call("gemini_answer", asked.body, asked.match["model"]))


def _models(box: Box, asked: Asked) -> Reply | None:
    return json_reply({"models": [{"name": "models/gemini-2.5-flash"}]})


def _page(box: Box, asked: Asked) -> Reply | None:
    body = as_bytes(box.call("web_page", asked.match["host"], asked.match["path"], asked.now))
    return None if body is None else Reply(200, body, XML if body[:5] == b"<?xml" else HTML)


def _moment(text: str | None, default: datetime) -> datetime:
    if not text:
        return default
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


MARKETAUX = routes(("news", r"/v1/news/all", _marketaux))
GEMINI = routes(
    ("generate_content", r"/v1beta/models/(?P<model>[\w.-]+):generateContent", _gemini),
    ("models", r"/v1beta/models", _models),
)
WEB = routes(("page", r"/(?P<host>[\w.-]+)(?P<path>/.*)", _page))
POLYGON = routes(("news", r"/v2/reference/news", polygon_news))
TIINGO = routes(("news", r"/tiingo/news", tiingo_news))
