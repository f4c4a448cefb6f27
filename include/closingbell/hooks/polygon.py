"""Polygon.io (Massive): every stock's bar of a session in one request, reference tickers, splits, dividends.

Source: the vendor's OpenAPI description (GET /v2/aggs/grouped/..., /v3/reference/...). Bars are asked unadjusted and
without OTC. Paged answers come as one Answer a page; the key counts pages from 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from time import sleep as _sleep
from typing import Any, cast
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from closingbell.connections import ConnectionMissing, Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import AuthFailed, BadAnswer, NotYet, VendorError
from closingbell.hooks.http import Client, Tokens

MAX_PAGES = 500
PAGE = 1000
VENDOR_HOSTS = frozenset({"api.polygon.io", "api.massive.com"})
"""Hosts that next_url names, whatever host was asked; only its path and cursor are used."""
TOO_EARLY_SECONDS = 900.0


class _Envelope(msgspec.Struct):
    """The part of an answer that says whether it is one; results are skipped, not parsed."""

    status: str | None = None
    next_url: str | None = None
    error: str | None = None
    message: str | None = None


class Polygon:
    """Answers of Polygon's REST API; the key goes in the Authorization header."""

    vendor = "polygon"

    def __init__(
        self, endpoint: Endpoint, quota: Tokens | None = None, *, sleep: Callable[[float], None] = _sleep
    ) -> None:
        if not endpoint.password:
            raise ConnectionMissing("connection polygon has no API key: put it in the password, or set POLYGON_API_KEY")
        self.base_url = endpoint.base_url
        headers = {"Authorization": f"Bearer {endpoint.password}"}
        self.client = Client(self.vendor, endpoint, quota, headers=headers, sleep=sleep)

    def grouped_daily(self, session: date) -> Answer:
        """Unadjusted bars of every listed stock for one session. A day without bars is an answer without results."""
        return self._get(
            f"/v2/aggs/grouped/locale/us/market/stocks/{session.isoformat()}",
            "grouped_daily",
            session.isoformat(),
            {"adjusted": "false", "include_otc": "false"},
        )

    def tickers(self, active: bool) -> Iterator[Answer]:
        """Reference data of all listed stocks, or of all delisted ones, a page at a time."""
        params = {"market": "stocks", "active": _flag(active), "order": "asc", "sort": "ticker", "limit": PAGE}
        return self._pages("/v3/reference/tickers", "tickers", "active" if active else "inactive", params)

    def splits(self, first: date, last: date) -> Iterator[Answer]:
        """Splits executed from `first` to `last`, both included."""
        return self._dated("/v3/reference/splits", "splits", "execution_date", first, last)

    def dividends(self, first: date, last: date) -> Iterator[Answer]:
        """Cash dividends with an ex-date from `first` to `last`, both included."""
        return self._dated("/v3/reference/dividends", "dividends", "ex_dividend_date", first, last)

    def ticker_details(self, ticker: str, day: date) -> Answer:
        """Reference data of one ticker as of `day` (share class, shares outstanding, listing)."""
        path = f"/v3/reference/tickers/{quote(ticker, safe='')}"
        return self._get(path, "ticker_details", f"{ticker}@{day.isoformat()}", {"date": day.isoformat()})

    def ticker_events(self, ticker: str) -> Answer:
        """The tickers a security has had, with dates."""
        path = f"/vX/reference/tickers/{quote(ticker, safe='')}/events"
        return self._get(path, "ticker_events", ticker, {"types": "ticker_change"})

    def news(self, first: datetime, last: datetime | None = None, ticker: str | None = None) -> Iterator[Answer]:
        """Stories published from `first` up to before `last` (UTC), oldest first, of one ticker or of all."""
        begin, end = (
            moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else "" for moment in (first, last)
        )
        params = {"published_utc.gte": begin} | ({"published_utc.lt": end} if end else {})
        params |= {"order": "asc", "sort": "published_utc"} | ({"ticker": ticker} if ticker else {})
        return self._pages("/v2/reference/news", "news", f"{ticker or ''}@{begin}:{end}", {**params, "limit": PAGE})

    def now(self) -> datetime:
        """The vendor's clock, UTC."""
        return self._get("/v1/marketstatus/now", "market_status", "now", {}).answered_at

    def test(self) -> tuple[bool, str]:
        """Whether the vendor takes the key, and what it said."""
        try:
            self._get("/v1/marketstatus/now", "market_status", "now", {})
        except VendorError as error:
            return False, str(error)
        return True, "Polygon took the key"

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()

    def _dated(self, path: str, endpoint: str, field: str, first: date, last: date) -> Iterator[Answer]:
        params = {f"{field}.gte": first.isoformat(), f"{field}.lte": last.isoformat()}
        params |= {"order": "asc", "sort": field}
        return self._pages(path, endpoint, f"{first.isoformat()}:{last.isoformat()}", {**params, "limit": PAGE})

    def _pages(self, path: str, endpoint: str, name: str, params: Mapping[str, Any]) -> Iterator[Answer]:
        seen: set[str] = set()
        for page in range(1, MAX_PAGES + 1):
            key = f"{name}:{page}"
            answer, envelope = self._asked(path, endpoint, key, params)
            yield answer
            following = self._next(envelope.next_url, endpoint, key)
            if following is None:
                return
            path, cursor = following
            if cursor in seen:
                raise BadAnswer(self.vendor, endpoint, key, 200, "next_url leads back to a page already read")
            seen.add(cursor)
            params = {"cursor": cursor}
        raise BadAnswer(self.vendor, endpoint, name, 200, f"more than {MAX_PAGES} pages; is the cursor moving?")

    def _next(self, next_url: str | None, endpoint: str, key: str) -> tuple[str, str] | None:
        if not next_url:
            return None
        parts = urlsplit(next_url)
        own = urlsplit(self.base_url)
        if parts.hostname not in VENDOR_HOSTS and (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
            raise BadAnswer(self.vendor, endpoint, key, 200, f"next_url leads to {parts.hostname}; not followed")
        path = parts.path.removeprefix(own.path) if own.path else parts.path
        cursors = parse_qs(parts.query).get("cursor", [])
        if not re.fullmatch(r"/v(\d+|X)/[\w/.-]+", path) or ".." in path or len(cursors) != 1:
            raise BadAnswer(self.vendor, endpoint, key, 200, "next_url is not a path of the API with one cursor")
        return path, cursors[0]

    def _get(self, path: str, endpoint: str, key: str, params: Mapping[str, Any]) -> Answer:
        return self._asked(path, endpoint, key, params)[0]

    def _asked(self, path: str, endpoint: str, key: str, params: Mapping[str, Any]) -> tuple[Answer, _Envelope]:
        def refusal(status: int, body: bytes) -> VendorError | None:
            if status == 403 and b"before end of day" in body[:4096]:
                return NotYet(
                    self.vendor, endpoint, key, status, "this plan serves the session after its end of day",
                    retry_after=TOO_EARLY_SECONDS,
                )  # fmt: skip
            return None

        answer = self.client.get(self.base_url + path, endpoint=endpoint, key=key, params=params, refusal=refusal)
        try:
            envelope = msgspec.json.decode(cast(bytes, answer.body), type=_Envelope)
        except msgspec.ValidationError as error:
            raise BadAnswer(self.vendor, endpoint, key, 200, f"no answer of Polygon's form: {error}") from None
        said = self.client.redacted(envelope.error or envelope.message or "no message")
        if envelope.status == "NOT_AUTHORIZED":
            raise AuthFailed(self.vendor, endpoint, key, 200, f"{said}; the plan of this key lacks it")
        if envelope.status == "ERROR":
            raise BadAnswer(self.vendor, endpoint, key, 200, said)
        return answer, envelope  # OK, and DELAYED: end-of-day data is whole under a delayed plan


def _flag(value: bool) -> str:
    return "true" if value else "false"
