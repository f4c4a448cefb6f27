"""Tiingo as it answers. Source: its documentation, version 2.1."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta

from closingbell.sandbox.vendors.answers import Asked, Box, Reply, as_bytes, json_reply, ok, routes
from closingbell.sessions import NEW_YORK


def _tiingo_prices(box: Box, asked: Asked) -> Reply | None:
    today = asked.now.astimezone(NEW_YORK).date()
    first, last = asked.day("startDate", today - timedelta(days=7)), asked.day("endDate", today)
    answer = box.call("tiingo_prices", asked.match["ticker"], first, last, asked.now)
    if answer is None:
        return json_reply({"detail": f"Error: Ticker '{asked.match['ticker']}' not found"}, 404)
    return ok(answer)


def _tiingo_all(box: Box, asked: Asked) -> Reply | None:
    return ok(box.call("tiingo_daily_all", asked.now))


def _tiingo_supported(box: Box, asked: Asked) -> Reply | None:
    answer = as_bytes(box.call("tiingo_supported", asked.now))
    if answer is None or answer[:2] == b"PK":
        return ok(answer, "application/zip")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("supported_tickers.csv", asked.now.timetuple()[:6]), answer)
    return Reply(200, packed.getvalue(), "application/zip")


def _tiingo_test(box: Box, asked: Asked) -> Reply | None:
    return json_reply({"message": "You successfully sent a request"})


ROUTES = routes(
    ("daily_all", r"/tiingo/daily/prices", _tiingo_all),
    ("daily_prices", r"/tiingo/daily/(?P<ticker>[^/]+)/prices", _tiingo_prices),
    ("supported_tickers", r"/docs/tiingo/daily/supported_tickers\.zip", _tiingo_supported),
    ("test", r"/api/test/?", _tiingo_test),
)
