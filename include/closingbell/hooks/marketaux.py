"""Marketaux: news of given symbols, with the vendor's own sentiment of each.

Source: Marketaux' documentation, GET /v1/news/all. The key travels as `api_token` in the query, which is the only way
it documents: it is kept out of every answer's request and struck from every message. A free plan has 100 requests a
day, three stories each; 402 says that the day's are spent, 429 that the minute's are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from time import sleep as _sleep

import msgspec

from closingbell.connections import ConnectionMissing, Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import VendorError
from closingbell.hooks.http import Client, Tokens
from closingbell.warehouse.quota import QuotaExhausted

STORIES = {"free": 3, "basic": 20, "standard": 50, "pro": 100, "sandbox": 20}
"""Stories of one answer, by plan."""
MAX_PAGES = 20


class _Meta(msgspec.Struct):
    found: int = 0
    returned: int = 0


class _Envelope(msgspec.Struct):
    meta: _Meta = msgspec.field(default_factory=_Meta)


class Marketaux:
    """Answers of api.marketaux.com."""

    vendor = "marketaux"

    def __init__(
        self, endpoint: Endpoint, quota: Tokens | None = None, *, sleep: Callable[[float], None] = _sleep
    ) -> None:
        if not endpoint.password:
            raise ConnectionMissing(
                "connection marketaux has no token: put it in the password, or set MARKETAUX_API_KEY"
            )
        self.base_url = endpoint.base_url
        self.stories = STORIES[endpoint.extra.get("plan") or "free"]
        self.client = Client(self.vendor, endpoint, quota, query={"api_token": endpoint.password}, sleep=sleep)

    def news(
        self, symbol: str, since: datetime, before: datetime | None = None, *, pages: int = MAX_PAGES
    ) -> Iterator[Answer]:
        """Stories about one symbol published after `since` and before `before` (UTC), newest first.

        At most `pages` answers: what they leave out is older than all that they hold.
        `filter_entities` is left at false: with it a story names only the symbol asked for, which would then always be
        its best matched company.
        """
        after, end = _second(since), f"..{_second(before)}" if before else ""
        for page in range(1, pages + 1):
            params = {
                "symbols": symbol, "language": "en", "published_after": after, "limit": self.stories, "page": page,
            } | ({"published_before": _second(before)} if before else {})  # fmt: skip
            key = f"{symbol}@{after}{end}:{page}"
            answer = self.client.get(
                f"{self.base_url}/v1/news/all", endpoint="news", key=key, params=params, refusal=self._refusal
            )
            yield answer
            meta = msgspec.json.decode(answer.body, type=_Envelope).meta  # type: ignore[arg-type]
            if meta.returned < 1 or page * self.stories >= meta.found:
                return

    def test(self) -> tuple[bool, str]:
        """Whether the vendor takes the token; costs one request of the day."""
        try:
            next(self.news("AAPL", datetime.now(UTC) - timedelta(days=1), pages=1))
        except (VendorError, QuotaExhausted) as error:
            return False, str(error)
        return True, "Marketaux took the token"

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()

    def _refusal(self, status: int, body: bytes) -> VendorError | None:
        if status == 402:
            tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            left = self.client.quota.left() if self.client.quota else {}  # type: ignore[attr-defined]
            raise QuotaExhausted(
                self.vendor, "the vendor's own count (HTTP 402)", left.get("day_limit") or 0, left.get("day_used") or 0,
                tomorrow,
            )  # fmt: skip
        return None


def _second(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
