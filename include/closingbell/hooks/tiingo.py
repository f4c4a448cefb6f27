"""Tiingo: daily bars with splits and dividends by ticker, all tickers' last session in one request, supported tickers.

Source: Tiingo's documentation, 2.1 End-of-Day and 1.2 Connecting (token in the Authorization header).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from time import sleep as _sleep
from urllib.parse import quote

import msgspec

from closingbell.connections import ConnectionMissing, Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import AuthFailed, BadAnswer, RateLimited, VendorError
from closingbell.hooks.http import Client, Promise, Tokens

NEWS_PAGE, NEWS_PAGES = 1000, 200


class Tiingo:
    """Answers of api.tiingo.com; the token goes in the Authorization header, and not to the host of the public list."""

    vendor = "tiingo"

    def __init__(
        self, endpoint: Endpoint, quota: Tokens | None = None, *, sleep: Callable[[float], None] = _sleep
    ) -> None:
        if not endpoint.password:
            raise ConnectionMissing("connection tiingo has no token: put it in the password, or set TIINGO_API_KEY")
        self.base_url = endpoint.base_url
        official = endpoint.host == "api.tiingo.com"
        media = endpoint.extra.get("media_url") or ("https://apimedia.tiingo.com" if official else self.base_url)
        self.media_url = str(media).rstrip("/")
        self._authorization = {"Authorization": f"Token {endpoint.password}"}
        self.client = Client(self.vendor, endpoint, quota, hosts=[self.media_url], sleep=sleep)

    def daily_prices(self, ticker: str, first: date, last: date) -> Answer:
        """Bars of one ticker from `first` to `last`, both included, unadjusted and adjusted, with actions.

        Raises QuotaExhausted where the plan's month has no room for another symbol.
        """
        if self.client.quota:
            self.client.quota.symbol(ticker.upper())
        return self._get(
            f"/tiingo/daily/{quote(ticker, safe='')}/prices",
            "daily_prices",
            f"{ticker}:{first.isoformat()}:{last.isoformat()}",
            {"startDate": first.isoformat(), "endDate": last.isoformat(), "format": "json", "resampleFreq": "daily"},
        )

    def daily_all(self) -> Answer:
        """The newest bar of every ticker, with the actions of its day; tickers that ended long ago have an old one.

        The key is the session that the vendor's clock had last closed; whether it has that session's bars yet, the
        body says. Source: "The Fastest Method to Ingest Tiingo End-of-Day Stock API Data" in Tiingo's knowledge base.
        """
        from dataclasses import replace

        from closingbell.sessions import latest_session

        answer = self._get("/tiingo/daily/prices", "daily_all", "latest", {"format": "json"})
        return replace(answer, key=latest_session(answer.answered_at).isoformat())

    def supported_tickers(self) -> Answer:
        """A zip of one CSV: ticker, exchange, assetType, priceCurrency, startDate, endDate (delisted ones included)."""
        url = f"{self.media_url}/docs/tiingo/daily/supported_tickers.zip"
        return self.client.get(url, endpoint="supported_tickers", key="all", promise="zip")

    def news(self, first: date, last: date, tickers: Sequence[str] = ()) -> Iterator[Answer]:
        """Stories published from `first` to `last` (UTC days, both included), of some tickers or of all, page by page.

        Source: Tiingo's documentation, 3.1 News; a plan without it answers 403.
        """
        names = ",".join(ticker.lower() for ticker in tickers)
        params = {"startDate": first.isoformat(), "endDate": last.isoformat(), "sortBy": "publishedDate"}
        params |= {"limit": str(NEWS_PAGE)} | ({"tickers": names} if names else {})
        for page in range(1, NEWS_PAGES + 1):
            key = f"{names}@{first.isoformat()}:{last.isoformat()}:{page}"
            answer = self._get("/tiingo/news", "news", key, {**params, "offset": str((page - 1) * NEWS_PAGE)})
            yield answer
            if len(msgspec.json.decode(answer.body, type=list[msgspec.Raw])) < NEWS_PAGE:  # type: ignore[arg-type]
                return
        raise BadAnswer(self.vendor, "news", key, 200, f"more than {NEWS_PAGES} pages; ask for fewer days")

    def now(self) -> datetime:
        """The vendor's clock, UTC."""
        return self._get("/api/test", "test", "test", {}).answered_at

    def test(self) -> tuple[bool, str]:
        """Whether the vendor takes the token, and what it said."""
        try:
            self._get("/api/test", "test", "test", {})
        except VendorError as error:
            return False, str(error)
        return True, "Tiingo took the token"

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()

    def _get(self, path: str, endpoint: str, key: str, params: dict[str, str], promise: Promise = "json") -> Answer:
        url = self.base_url + path

        def refusal(status: int, body: bytes) -> VendorError | None:
            # a plan's limit comes as one line of text under HTTP 200 (hydrosquall/tiingo-python#45)
            said = body[:200].decode("utf-8", "replace").strip()
            if status != 200 or not said.startswith("You have run over your"):
                return None
            if "month" in said:
                return AuthFailed(self.vendor, endpoint, key, status, f"{said} (the plan's month is spent)")
            return RateLimited(self.vendor, endpoint, key, status, said, retry_after=900.0)

        return self.client.get(
            url, endpoint=endpoint, key=key, params=params, headers=self._authorization, promise=promise,
            refusal=refusal,
        )  # fmt: skip
