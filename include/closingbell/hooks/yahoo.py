"""Yahoo's chart of one ticker, fetched with yfinance: its browser session, cookies and crumbs; our hosts and cache.

yfinance keeps hosts as module constants, follows redirects and caches under the home directory. Here its session is
bound: it reaches only the hosts of the connection (Yahoo's own four, or one other host that plays them), follows
nothing, and takes a quota token for every request, cookies and crumbs included. The answer is the chart's JSON
as it came; yfinance's own parsing is not used. "Possibly delisted" is no evidence of delisting.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from time import sleep as _sleep
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import msgspec

from closingbell.connections import Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import BadAnswer, NotFound, RateLimited, ServerError, VendorError
from closingbell.hooks.http import MAX_BODY, Client, Tokens
from closingbell.settings import settings

YAHOO_HOSTS = frozenset(
    {"query1.finance.yahoo.com", "query2.finance.yahoo.com", "fc.yahoo.com", "guce.yahoo.com", "consent.yahoo.com"}
)
"""Chart, crumb, cookie, and the two of the consent form that European visitors meet."""


class _ChartError(msgspec.Struct):
    code: str | None = None
    description: str | None = None


class _Chart(msgspec.Struct):
    error: _ChartError | None = None


class _Envelope(msgspec.Struct):
    """The part of an answer that says whether it is one; result is skipped."""

    chart: _Chart


class Yahoo:
    """Answers of Yahoo's chart endpoint, for lists of up to 500 tickers. One a process (yfinance keeps one session)."""

    vendor = "yahoo"

    def __init__(
        self, endpoint: Endpoint, quota: Tokens | None = None, *, sleep: Callable[[float], None] = _sleep
    ) -> None:
        self.base_url = endpoint.base_url
        self.cache_dir = str(endpoint.extra.get("cache_dir") or settings().yahoo_cache)
        self.client = Client(self.vendor, endpoint, None, sleep=sleep)
        self._quota = quota
        self._timeout = float(endpoint.extra.get("timeout_seconds", 30))
        self._session: Any = None

    def chart(self, ticker: str, first: date, last: date) -> Answer:
        """Daily bars from `first` to `last`, both included, with splits and dividends; split-adjusted as of today."""
        key = f"{ticker}:{first.isoformat()}:{last.isoformat()}"
        params = {
            "period1": _midnight(first),
            "period2": _midnight(last + timedelta(days=1)),
            "interval": "1d",
            "includePrePost": "false",
            "events": "div,splits,capitalGains",
        }
        url = f"{self.base_url}/v8/finance/chart/{quote(ticker, safe='^=-.')}"
        return self.client.tried(lambda: self._once(url, "chart", key, params))

    def test(self) -> tuple[bool, str]:
        """Whether Yahoo answers; an unknown ticker is an answer too."""
        today = datetime.now(UTC).date()
        try:
            self.chart("SPY", today - timedelta(days=7), today)
        except NotFound:
            return True, "Yahoo answered"
        except VendorError as error:
            return False, str(error)
        return True, "Yahoo answered with a chart"

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._quota:
            self._quota.close()

    def _once(self, url: str, endpoint: str, key: str, params: dict[str, Any]) -> Answer:
        from curl_cffi.requests.exceptions import RequestException
        from yfinance.exceptions import YFException, YFRateLimitError

        try:
            response = self._transport().get(url, params=params, timeout=self._timeout)
        except YFRateLimitError:
            raise RateLimited(self.vendor, endpoint, key, 429, "Yahoo throttles this address") from None
        except (RequestException, YFException, OSError) as error:
            message = self.client.redacted(str(error)).partition(". See https://")[0]
            kind = BadAnswer if "maximum allowed file size" in message.lower() else ServerError
            raise kind(self.vendor, endpoint, key, None, f"{type(error).__name__}: {message}") from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = response.content
        if len(body) > MAX_BODY:
            raise BadAnswer(self.vendor, endpoint, key, response.status_code, f"more than {MAX_BODY:,} bytes; refused")
        refusal = _chart_error(body)
        if refusal and (response.status_code == 404 or (refusal.code or "").lower() == "not found"):
            raise NotFound(
                self.vendor, endpoint, key, response.status_code, f"{refusal.description}; no evidence of delisting"
            )
        if response.status_code != 200:
            self.client.refuse(endpoint, key, response.status_code, headers, body)
        self.client.check_complete(body, "json", endpoint, key)
        if refusal:
            raise BadAnswer(self.vendor, endpoint, key, 200, f"{refusal.code}: {refusal.description}")
        return self.client.answer(endpoint, key, url, params, body, headers)

    def _transport(self) -> Any:
        """yfinance's transport on our session. yfinance has one a process, so each call puts this hook's session in."""
        from yfinance.data import YfData

        if self._session is None:
            _use_cache(self.cache_dir)
            self._session = bound_session(self.base_url, self._quota)
        return YfData(session=self._session)


def bound_session(base_url: str, quota: Tokens | None) -> Any:
    """A curl_cffi session for yfinance that reaches the connection's hosts only, one quota token a request."""
    from curl_cffi import CurlOpt
    from curl_cffi.requests import Session
    from curl_cffi.requests.exceptions import InvalidURL

    own = urlsplit(base_url)
    played = own.hostname not in YAHOO_HOSTS

    class BoundSession(Session):
        def request(self, method: Any, url: str, *args: Any, **kwargs: Any) -> Any:
            parts = urlsplit(url)
            if played and parts.hostname in YAHOO_HOSTS:
                # yfinance asks Yahoo's hosts for cookie and crumb by constant; the host that plays Yahoo plays them
                url = parts._replace(scheme=own.scheme, netloc=own.netloc, path=own.path + (parts.path or "/")).geturl()
            elif (parts.scheme, parts.netloc) != (own.scheme, own.netloc) and (
                played or parts.scheme != "https" or parts.hostname not in YAHOO_HOSTS
            ):
                raise InvalidURL(f"{parts.hostname} is no host of the connection yahoo")
            if quota:
                quota.take()
            kwargs["allow_redirects"] = False
            return super().request(method, url, *args, **kwargs)

    local = own.hostname in ("localhost", "127.0.0.1", "::1")
    return BoundSession(impersonate="chrome", trust_env=not local, curl_options={CurlOpt.MAXFILESIZE_LARGE: MAX_BODY})


@lru_cache(maxsize=1)
def _use_cache(folder: str) -> None:
    """Point yfinance's caches (cookies, time zones) at `folder`, ours alone, since its cookie cache is a pickle."""
    import yfinance

    logging.getLogger("yfinance").setLevel(logging.WARNING)  # below that it logs crumbs
    os.makedirs(folder, mode=0o700, exist_ok=True)
    yfinance.set_tz_cache_location(folder)


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time(), ZoneInfo("America/New_York")).timestamp())


def _chart_error(body: bytes) -> _ChartError | None:
    try:
        return msgspec.json.decode(body, type=_Envelope).chart.error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
