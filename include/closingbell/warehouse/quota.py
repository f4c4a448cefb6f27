"""Vendor quotas that hold over every process and machine: one row a vendor and key, one UPDATE a request.

GCRA (the leaky bucket of ITU-T I.371): `tat` is the theoretical arrival time of the next request. Taking n tokens
moves it by n / per_second from the later of itself and now, and the caller sleeps until its slot. Time is the
database's clock. A daily budget, counted by the vendor's local day, is spent in the same statement. Where a plan allows
a number of different symbols a month, `symbol` counts those asked for.
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
    """What a vendor allows: `per_second` on average, `burst` at once, `day_limit` a day of `day_zone` (IANA name).

    `symbol_limit`: how many different symbols a month of that zone may be asked for.
    """

    per_second: float
    burst: float = 1
    day_limit: int | None = None
    day_zone: str = "UTC"
    symbol_limit: int | None = None

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1 or (self.day_limit is not None and self.day_limit < 0):
            raise ValueError(f"a plan needs per_second > 0, burst >= 1 and day_limit >= 0: {self}")


class QuotaExhausted(RuntimeError):
    """A budget is spent: the run is deferred, nothing partial is published. `resets_at` is aware, UTC.

    `counted` says what of: the requests of the day, or the different symbols of the month.
    """

    def __init__(
        self, vendor: str, key: str, limit: int, used: int, resets_at: datetime, counted: str = "requests of the day"
    ):
        super().__init__(vendor, key, limit, used, resets_at, counted)
        self.vendor, self.key, self.limit, self.used = vendor, key, limit, used
        self.resets_at, self.counted = resets_at, counted

    def __str__(self) -> str:
        return (
            f"{self.vendor} ({self.key}): {self.used} of {self.limit} {self.counted} are spent; "
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
            symbol_limit=plan.symbol_limit,
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

    def symbol(self, name: str) -> None:
        """Count `name` among the month's symbols; raises QuotaExhausted where it is new and there is no room for it."""
        if self.plan.symbol_limit is None or self._execute("quota_symbol", symbol=name) is not None:
            return
        left = self.left()
        raise QuotaExhausted(
            self.vendor, self.key, left["symbol_limit"], left["symbols_used"], left["symbols_reset_at"],
            f"different symbols of the month (the plan's; {name} would be another)",
        )  # fmt: skip

    def throttle(self, seconds: float) -> None:
        """Let nobody's next request start within `seconds`: the vendor said so (Retry-After, a 403 page)."""
        self._execute("quota_throttle", seconds=seconds)

    def left(self) -> dict[str, Any]:
        """vendor, key, per_second, wait (seconds); of requests day_limit, day_used, day_left, resets_at; of symbols
        symbol_limit, symbols_used, symbols_left, symbols_reset_at. What is left is None without a limit."""
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
