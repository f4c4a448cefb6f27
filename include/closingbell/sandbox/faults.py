"""Faults mixed into either market by lot, at given rates: 429s, 403s, 5xx, silence, cut bodies, duplicates, drift.

The lot is a hash of (seed, request, how often it was asked), so a run repeats exactly. A request fails at most twice in
a row, as a busy vendor's does; duplicates fail nothing, and drift stays for a request until the rates change.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from typing import Any

import msgspec

FAILURES = ("429", "403", "5xx", "timeout", "truncated")
"""Kinds that spoil the whole answer, drawn at most twice in a row for one request."""
KINDS = (*FAILURES, "duplicates", "drift")
MOST_IN_A_ROW = 2


class Rates(msgspec.Struct, forbid_unknown_fields=True):
    """Share of requests, 0 to 1, by kind; `retry_after` and `slow_seconds` shape the 429s and the silences."""

    rate_429: float = msgspec.field(name="429", default=0.0)
    rate_403: float = msgspec.field(name="403", default=0.0)
    rate_5xx: float = msgspec.field(name="5xx", default=0.0)
    timeout: float = 0.0
    truncated: float = 0.0
    duplicates: float = 0.0
    drift: float = 0.0
    retry_after: float = 1.0
    slow_seconds: float = 90.0

    def __post_init__(self) -> None:
        shares = [self.of(kind) for kind in KINDS]
        if any(not 0 <= share <= 1 for share in shares) or sum(shares[: len(FAILURES)]) > 1:
            raise ValueError(
                f"faults: rates are shares from 0 to 1 and those of {', '.join(FAILURES)} add up to 1 at most"
            )

    def of(self, kind: str) -> float:
        """The rate of one kind."""
        return getattr(self, kind if kind in self.__struct_fields__ else f"rate_{kind}")


def rates(text: str | bytes) -> Rates:
    """Rates from JSON, {"429": 0.1, "5xx": 0.05}; raises ValueError naming what is not understood."""
    try:
        return msgspec.json.decode(text or b"{}", type=Rates)
    except msgspec.DecodeError as error:
        raise ValueError(f"faults: {error}; kinds are {', '.join(KINDS)}, retry_after and slow_seconds") from None


class Faults:
    """The lots of one server; counts what it did."""

    def __init__(self, seed: int, given: Rates | None = None) -> None:
        self.seed = seed
        self._lock = threading.Lock()
        self.change(given or Rates())

    def change(self, given: Rates) -> None:
        """New rates from now on; counts begin again."""
        with self._lock:
            self.rates = given
            self.counts: Counter[str] = Counter()
            self._asked: Counter[str] = Counter()
            self._row: Counter[str] = Counter()

    def draw(self, request: str) -> set[str]:
        """What happens to this request this time."""
        with self._lock:
            self.counts["requests"] += 1
            self._asked[request] += 1
            drawn = {kind for kind in ("duplicates", "drift") if self._lot(request, kind) < self.rates.of(kind)}
            lot, edge = self._lot(request, str(self._asked[request])), 0.0
            for kind in FAILURES:
                edge += self.rates.of(kind)
                if lot < edge and self._row[request] < MOST_IN_A_ROW:
                    drawn.add(kind)
                    break
            self._row[request] = self._row[request] + 1 if drawn & set(FAILURES) else 0
            self.counts.update(drawn)
            return drawn

    def _lot(self, request: str, draw: str) -> float:
        digest = hashlib.blake2b(f"{self.seed}|{request}|{draw}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


RENAMED = {
    "company_tickers": (b'"cik_str"', b'"cik"'),
    "submissions": (b'"acceptanceDateTime"', b'"acceptedAt"'),
    "companyfacts": (b'"val"', b'"value"'),
    "daily_index": (b"Form Type", b"Form Kind"),
    "grouped_daily": (b'"c"', b'"close"'),
    "tickers": (b'"ticker"', b'"symbol"'),
    "splits": (b'"split_from"', b'"from_shares"'),
    "dividends": (b'"cash_amount"', b'"amount"'),
    "daily_prices": (b'"close"', b'"closePrice"'),
    "daily_all": (b'"close"', b'"closePrice"'),
    "chart": (b'"close"', b'"last"'),
    "sp500": (b"GICS Sector", b"Sector"),
    "getcurrent": (b' term="', b' code="'),
    "news": (b'"title"', b'"headline"'),
    "page": (b"newsreleaseconsolidatelink", b"tile"),
    "calendar_ratings": (b'"rating_current"', b'"rating_now"'),
}
"""Schema drift: the column each endpoint renames."""

REPEATED = 3


def drifted(endpoint: str, body: bytes) -> bytes:
    """The body with one of its columns renamed, as vendors do without a word."""
    before, after = RENAMED.get(endpoint, (b"", b""))
    return body.replace(before, after) if before else body


def duplicated(endpoint: str, body: bytes) -> bytes:
    """The body with some of its rows twice: bars, reference rows, facts, index lines."""
    if endpoint == "daily_index":
        lines = body.splitlines(keepends=True)
        return b"".join(lines + lines[-1:]) if re.search(rb"edgar/data/", lines[-1]) else body
    if endpoint == "getcurrent":
        first, entry, rest = body.partition(b"<entry>")
        one, end, _ = rest.partition(b"</entry>\n")
        return first + entry + one + end + entry + rest if entry else body
    if endpoint == "companyfacts":
        facts = msgspec.json.decode(body)
        for taxonomy in facts.get("facts", {}).values():
            for concept in taxonomy.values():
                for rows in concept["units"].values():
                    rows += rows[-REPEATED:]
        return msgspec.json.encode(facts)
    if endpoint in ("grouped_daily", "tickers", "splits", "dividends"):
        answer = msgspec.json.decode(body)
        rows = answer.get("results") or []
        rows += rows[:REPEATED]
        if "resultsCount" in answer:
            answer["resultsCount"] = answer["queryCount"] = answer["count"] = len(rows)
        return msgspec.json.encode(answer)
    if endpoint == "calendar_ratings":
        answer = msgspec.json.decode(body)
        return msgspec.json.encode({"ratings": answer["ratings"] + answer["ratings"][:REPEATED]}) if answer else body
    if endpoint in ("daily_prices", "daily_all"):
        rows = msgspec.json.decode(body)
        return msgspec.json.encode(rows + rows[:REPEATED])
    if endpoint == "news":
        answer = msgspec.json.decode(body)
        rows = answer if isinstance(answer, list) else answer.get("results") or answer.get("data") or []
        rows += rows[:REPEATED]
        return msgspec.json.encode(answer)
    if endpoint == "chart":
        return msgspec.json.encode(_last_bar_twice(msgspec.json.decode(body)))
    return body


def _last_bar_twice(chart: dict[str, Any]) -> dict[str, Any]:
    # Yahoo sends the running day's bar twice now and then
    for result in chart["chart"]["result"] or []:
        stamps = result.get("timestamp") or []
        stamps += stamps[-1:]
        for group in result.get("indicators", {}).values():
            for columns in group:
                for values in columns.values():
                    values += values[-1:]
    return chart
