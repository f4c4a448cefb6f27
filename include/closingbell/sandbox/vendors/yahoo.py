"""Yahoo's chart as it answers, with the cookie and the crumb that come before it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from closingbell.sandbox.vendors.answers import HTML, Asked, Box, Reply, json_reply, ok, routes
from closingbell.sessions import NEW_YORK


def _yahoo_cookie(box: Box, asked: Asked) -> Reply | None:
    return Reply(404, b"", HTML, {"Set-Cookie": "A3=sandbox; Path=/"})


def _yahoo_crumb(box: Box, asked: Asked) -> Reply | None:
    return Reply(200, b"sandbox", "text/plain")


def _yahoo_chart(box: Box, asked: Asked) -> Reply | None:
    today = asked.now.astimezone(NEW_YORK).date()
    first = _day_of(asked.query.get("period1"), today - timedelta(days=5))
    # period2 is exclusive: midnight after the last day
    last = _day_of(asked.query.get("period2"), today, before=1)
    answer = box.call("yahoo_chart", asked.match["ticker"], first, last, asked.now)
    if answer is None:
        error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
        return json_reply({"chart": {"result": None, "error": error}}, 404)
    if isinstance(answer, dict) and answer["chart"].get("error"):
        return json_reply(answer, 404)
    return ok(answer)


def _day_of(stamp: str | None, default: date, before: int = 0) -> date:
    return datetime.fromtimestamp(int(stamp) - before, NEW_YORK).date() if stamp else default


ROUTES = routes(
    ("cookie", r"/", _yahoo_cookie),
    ("crumb", r"/v1/test/getcrumb", _yahoo_crumb),
    ("chart", r"/v8/finance/chart/(?P<ticker>[^/]+)", _yahoo_chart),
)
