"""Keys of the API: made and ended by `closingbell api-key`, stored hashed, each with a tier that bounds its rate.

A key is `cb_` and 256 random bits. Nothing can be guessed of so many, so its SHA-256 needs no salt and no slow hash.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine

from closingbell.api.reads import Reads, Shared
from closingbell.warehouse import db

FRESH_SECONDS = 30.0  # a key that was ended is refused after so long
SOON_SECONDS = 1.0  # a key that was made is accepted after so long


@dataclass(frozen=True)
class Tier:
    """Requests of a key: so many a minute on average, `burst` at once. Each process of the API counts its own."""

    per_minute: int
    burst: int


TIERS = {"free": Tier(60, 30), "standard": Tier(1200, 200), "pro": Tier(30_000, 1000)}


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    key_id: int
    name: str
    tier: Tier


def hashed(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def make(engine: Engine, name: str, tier: str, *, author: str) -> tuple[int, str]:
    """(key_id, key) of a new key for `name`; the key is kept nowhere. Raises ValueError for an unknown tier."""
    if tier not in TIERS:
        raise ValueError(f"there is no tier {tier!r}: choose one of {', '.join(TIERS)}")
    if not name.strip():
        raise ValueError("say whose the key is")
    key = f"cb_{secrets.token_urlsafe(32)}"
    with engine.begin() as connection:
        key_id = _written(connection, "api_key_put", name=name.strip(), tier=tier, sha256=hashed(key), author=author)
    assert key_id is not None
    return key_id, key


def end(engine: Engine, key_id: int, *, author: str) -> None:
    """End a key; raises LookupError where it is unknown or ended."""
    with engine.begin() as connection:
        if _written(connection, "api_key_end", key_id=key_id, author=author) is None:
            raise LookupError(f"no key {key_id} is in force: see `closingbell api-key list`")


def listed(engine: Engine) -> pl.DataFrame:
    """Every key, without its hash."""
    return db.query(engine, "api_keys_all")


def _written(connection: Connection, query: str, **params: Any) -> int | None:
    return connection.execute(db.statement(query), params).scalar()


class Keys:
    """The keys in force, read again when they are old, or when a key is asked for that is not among them."""

    def __init__(self, reads: Reads, clock: Callable[[], float] = time.monotonic) -> None:
        self._reads, self._clock = reads, clock
        self._callers: dict[str, Caller] = {}
        self._read_at = float("-inf")
        self._read = Shared(self._all)

    async def find(self, key: str) -> Caller | None:
        """Whose key it is; None for nobody's. Raises reads.Unavailable."""
        digest = hashed(key)
        if self._due(digest):
            await self._read()
        return self._callers.get(digest)

    async def _all(self) -> None:
        rows = await self._reads.rows("api_keys")
        self._callers = {
            row["sha256"]: Caller(row["key_id"], row["name"], TIERS.get(row["tier"], TIERS["free"])) for row in rows
        }
        self._read_at = self._clock()

    def _due(self, digest: str) -> bool:
        limit = FRESH_SECONDS if digest in self._callers else SOON_SECONDS
        return self._clock() - self._read_at > limit


class Rates:
    """How much each key has asked of this process: the generic cell rate algorithm, as for the vendors' quotas."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[int, float] = {}  # when the next request would be due at the tier's pace

    def take(self, caller: Caller) -> tuple[int, float]:
        """(requests left at once, seconds to wait); the request counts only where there is nothing to wait for."""
        now, pace = self._clock(), 60 / caller.tier.per_minute
        due = max(self._due.get(caller.key_id, now), now) + pace
        wait = due - now - pace * caller.tier.burst
        if wait > 1e-9:
            return 0, wait
        self._due[caller.key_id] = due
        return int(-wait / pace + 1e-6), 0.0
