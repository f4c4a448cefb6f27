"""Benzinga: the calendar of analyst ratings, and what was removed from it.

Source: Benzinga's reference, "Get ratings" and "Removed" of the Calendar API v2.1, and "Authentication", which takes
the key in the header `Authorization: token <key>` (or in the query, where it would stand in logs: never used here).
Pages count from 0 and hold up to 1,000 rows; an offset of more than 100,000 rows is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from time import sleep as _sleep
from typing import Any

import msgspec

from closingbell.connections import ConnectionMissing, Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import BadAnswer, NotFound, VendorError
from closingbell.hooks.http import Client, Tokens

PAGE = 1000
DEFAULT_PAGE = 100
"""Rows of a page where the size that was asked for is not obeyed; one of so many may not be the last."""
MAX_PAGES = 100
MAX_TICKERS = 50
NOTHING = "no_data_found"
"""In place of an empty page, under HTTP 404."""
LAG = timedelta(seconds=5)
"""Benzinga asks for deltas from five seconds before the last one: rows of one second may come late."""


class _Counted(msgspec.Struct):
    """How many rows a page has; they are skipped, not parsed."""

    ratings: list[msgspec.Raw] = []
    removed: list[msgspec.Raw] = []


class Benzinga:
    """Answers of api.benzinga.com; the key goes in the Authorization header."""

    vendor = "benzinga"

    def __init__(
        self, endpoint: Endpoint, quota: Tokens | None = None, *, sleep: Callable[[float], None] = _sleep
    ) -> None:
        if not endpoint.password:
            raise ConnectionMissing("connection benzinga has no key: put it in the password, or set BENZINGA_API_KEY")
        self.base_url = endpoint.base_url
        headers = {"Authorization": f"token {endpoint.password}", "Accept": "application/json"}
        self.client = Client(self.vendor, endpoint, quota, headers=headers, sleep=sleep)

    def ratings(
        self,
        tickers: Sequence[str],
        *,
        first: date | None = None,
        last: date | None = None,
        since: datetime | None = None,
    ) -> Iterator[Answer]:
        """Ratings of up to 50 tickers, a page at a time: given from `first` to `last`, or changed since a moment."""
        if not 1 <= len(tickers) <= MAX_TICKERS:
            raise ValueError(f"benzinga takes 1 to {MAX_TICKERS} tickers a request, not {len(tickers)}")
        listed = ",".join(tickers)
        params: dict[str, Any] = {"parameters[tickers]": listed}
        if first and last:
            params |= {"parameters[date_from]": first.isoformat(), "parameters[date_to]": last.isoformat()}
        if since:
            params["parameters[updated]"] = int((since - LAG).timestamp())
        digest = hashlib.blake2b(listed.encode(), digest_size=4).hexdigest()
        window = f"{first}:{last}" if first else f"updated {params.get('parameters[updated]', 'ever')}"
        name = f"{tickers[0]}+{len(tickers) - 1}.{digest}:{window}"
        return self._pages("/api/v2.1/calendar/ratings", "calendar_ratings", name, params)

    def removed(self, since: datetime | None) -> Iterator[Answer]:
        """Ratings that were removed since a moment, a page at a time; since now where it is None."""
        updated = int(((since or datetime.now(UTC)) - LAG).timestamp())
        params = {"type": "ratings", "updated": updated}
        # with the slash that its reference has: a redirect would be refused
        yield from self._pages("/api/v2.1/calendar-removed/", "calendar_removed", f"updated {updated}", params)

    def test(self) -> tuple[bool, str]:
        """Whether the vendor takes the key, and what it said."""
        try:
            self._get("/api/v2.1/calendar/ratings", "test", "test", {"page": 0, "pagesize": 1})
        except NotFound:
            pass  # no rating today
        except VendorError as error:
            return False, str(error)
        return True, "Benzinga took the key"

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()

    def _pages(self, path: str, endpoint: str, name: str, params: Mapping[str, Any]) -> Iterator[Answer]:
        for page in range(MAX_PAGES + 1):
            try:
                answer = self._get(path, endpoint, f"{name}:{page}", {**params, "page": page, "pagesize": PAGE})
            except NotFound as error:
                if NOTHING not in error.message:
                    raise
                return
            yield answer
            if (rows := _rows(answer)) < PAGE and rows != DEFAULT_PAGE:
                return
        raise BadAnswer(self.vendor, endpoint, name, 200, f"more than {MAX_PAGES} pages; ask for a shorter window")

    def _get(self, path: str, endpoint: str, key: str, params: Mapping[str, Any]) -> Answer:
        return self.client.get(self.base_url + path, endpoint=endpoint, key=key, params=params)


def _rows(answer: Answer) -> int:
    """Rows of a page; one of another shape has none, which the parser says."""
    assert isinstance(answer.body, bytes)
    try:
        counted = msgspec.json.decode(answer.body, type=_Counted)
    except msgspec.DecodeError:
        return 0
    return max(len(counted.ratings), len(counted.removed))
