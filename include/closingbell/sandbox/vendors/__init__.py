"""The vendors' own paths, one file a vendor: prefix -> (the hooks' endpoint name, the path, what answers it)."""

from __future__ import annotations

from closingbell.sandbox.vendors import benzinga, news, polygon, sec, tiingo, yahoo
from closingbell.sandbox.vendors.answers import Asked, Box, Reply, Route, ok, routes


def _sp500(box: Box, asked: Asked) -> Reply | None:
    return ok(box.call("sp500_csv", asked.now), "text/plain; charset=utf-8")


ROUTES: dict[str, tuple[Route, ...]] = {
    "www.sec.gov": sec.WWW,
    "data.sec.gov": sec.DATA,
    "polygon": (*polygon.ROUTES, *news.POLYGON),
    "tiingo": (*tiingo.ROUTES, *news.TIINGO),
    "marketaux": news.MARKETAUX,
    "gemini": news.GEMINI,
    "web": news.WEB,
    "yahoo": yahoo.ROUTES,
    "benzinga": benzinga.ROUTES,
    "reference": routes(("sp500", r"/(sp500_)?constituents\.csv", _sp500)),
}
