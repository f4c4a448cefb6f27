"""Vendor quotas that hold over every process and machine: one row a vendor and key, one UPDATE a request.

GCRA (the leaky bucket of ITU-T I.371): `tat` is the theoretical arrival time of the next request. Taking n tokens
moves it by n / per_second from the later of itself and now, and the caller sleeps until its slot. Time is the
database's clock. A daily budget, counted by the vendor's local day, is spent in the same statement.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from closingbell.warehouse import db


@dataclass(frozen=True)
class Plan:
    """What a vendor allows: `per_second` on average, `burst` at once, `day_limit` a day of `day_zone` (IANA name)."""

    per_second: float
    burst: float = 1
    day_limit: int | None = None
    day_zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1 or (self.day_limit is not None and self.day_limit < 0):
            raise ValueError(f"a plan needs per_second > 0, burst >= 1 and day_limit >= 0: {self}")


class QuotaExhausted(RuntimeError):
    """The day's budget is spent: the run is deferred, nothing partial is published. `resets_at` is aware, UTC."""

    def __init__(self, vendor: str, key: str, day_limit: int, day_used: int, resets_at: datetime):
        super().__init__(vendor, key, day_limit, day_used, resets_at)
        self.vendor, self.key, self.day_limit, self.day_used, self.resets_at = (
            vendor,
            key,
            day_limit,
            day_used,
            resets_at,
        )

    def __str__(self) -> str:
        return (
            f"{self.vendor} ({self.key}): {self.day_used} of {self.day_limit} requests of the day are spent; "
            f"the budget resets at {self.resets_at.isoformat(timespec='minutes')}; run again then, or raise the plan"
        )


class Quota:
    """The quota of one vendor and key (the connection's name, never its secret), on a connection of its own."""

    def __init__(self, engine: Engine, vendor: str, key: str, plan: Plan):
        self.vendor, self.key, self.plan = vendor, key, plan
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None
        self._owner = 0
        self._one_at_a_time = threading.Lock()
        self._execute(
            "quota_plan",
            per_second=plan.per_second,
            burst=plan.burst,
            day_limit=plan.day_limit,
            day_zone=plan.day_zone,
        )

    def take(self, n: int = 1) -> float:
        """Wait for n tokens; seconds slept. Raises QuotaExhausted, and takes nothing, where the day has fewer left."""
        if n < 1:
            raise ValueError(f"{self.vendor}: take at least one token, not {n}")
        if (row := self._execute("quota_take", n=n)) is None:
            left = self.left()
            raise QuotaExhausted(self.vendor, self.key, left["day_limit"], left["day_used"], left["resets_at"])
        wait = max(0.0, float(row.wait))
        if wait:
            time.sleep(wait)
        return wait

    def throttle(self, seconds: float) -> None:
        """Let nobody's next request start within `seconds`: the vendor said so (Retry-After, a 403 page)."""
        self._execute("quota_throttle", seconds=seconds)

    def left(self) -> dict[str, Any]:
        """vendor, key, per_second, day_limit, day_used, day_left (None without a budget), resets_at, wait (seconds)."""
        return dict(self._execute("quota_left")._mapping)

    def close(self) -> None:
        """Give the connection back."""
        with self._one_at_a_time:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    def _execute(self, name: str, **params: Any) -> Any:
        values = {"vendor": self.vendor, "key": self.key, **params}
        with self._one_at_a_time:
            for last in (False, True):
                if self._connection is None or self._owner != os.getpid():  # a fork must not share a socket
                    self._connection, self._owner = self._engine.connect(), os.getpid()
                try:
                    result = self._connection.execute(db.statement(name), values)
                    return result.first() if result.returns_rows else None
                except OperationalError:  # the server went away between two requests
                    self._connection.invalidate()
                    self._connection = None
                    if last:
                        raise
        raise AssertionError("unreachable")


def states(engine: Engine) -> list[dict[str, Any]]:
    """What is left of every vendor's quota, for the pages that show it: rows like `Quota.left`."""
    with engine.connect() as connection:
        rows = connection.execute(db.statement("quota_left"), {"vendor": None, "key": None})
        return [dict(row) for row in rows.mappings()]
