"""Vendor clients: one file a vendor, each method returns the vendor's untouched answer. `open_hook` opens one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from closingbell.connections import Endpoint
    from closingbell.warehouse.quota import Plan


@dataclass(frozen=True)
class Allowance:
    """What a plan allows: requests a second (with `burst` at once), a day's budget, and symbols a month."""

    per_second: float
    burst: int = 1
    day_limit: int | None = None
    day_zone: str = "UTC"
    symbols: int | None = None


# A GCRA lets burst + rate x window through in any window, so hourly limits keep a part of them as burst.
ALLOWANCES: dict[str, dict[str, Allowance]] = {
    "sec_edgar": {"default": Allowance(8)},  # SEC throttles at 10 a second over all machines
    "polygon": {
        "free": Allowance(5 / 60),
        "starter": Allowance(50, burst=10),
        "developer": Allowance(50, burst=10),
        "advanced": Allowance(50, burst=10),
    },
    "tiingo": {
        "free": Allowance(40 / 3600, burst=10, day_limit=1000, day_zone="America/New_York", symbols=500),
        "power": Allowance(9000 / 3600, burst=1000, day_limit=100_000, day_zone="America/New_York"),
        "sandbox": Allowance(50, burst=10),
    },
    "yahoo": {"default": Allowance(1), "sandbox": Allowance(50, burst=10)},
    "reference": {"default": Allowance(1)},
    "marketaux": {  # the day's are the plans' own; the minute's are not published, and 30 was never refused
        "free": Allowance(0.5, day_limit=100),
        "basic": Allowance(0.5, day_limit=2_500),
        "standard": Allowance(1, day_limit=10_000),
        "pro": Allowance(1, day_limit=50_000),
        "sandbox": Allowance(200, burst=20),
    },
    "gemini": {  # of gemini-2.5-flash, as Google published them in 2025
        "free": Allowance(10 / 60, day_limit=250, day_zone="America/Los_Angeles"),
        "tier1": Allowance(1000 / 60, burst=10, day_limit=10_000, day_zone="America/Los_Angeles"),
        "sandbox": Allowance(200, burst=20),
    },
    "web": {"default": Allowance(1), "sandbox": Allowance(50, burst=10)},  # each host by itself
    "benzinga": {
        "standard": Allowance(2, burst=5, day_limit=500, day_zone="America/New_York"),
        "sandbox": Allowance(50, burst=10, day_limit=500, day_zone="America/New_York"),
    },
}
"""Vendor -> plan -> allowance. The connection's extra `plan` chooses; without it the first, which is the smallest."""


def allowance(vendor: str, plan: str | None) -> Allowance:
    """What the plan allows; raises ValueError naming the plans there are."""
    plans = ALLOWANCES[vendor]
    if not plan:
        return next(iter(plans.values()))
    if plan not in plans:
        raise ValueError(f"connection {vendor}: no plan {plan!r}; write one of {', '.join(plans)} in its extra")
    return plans[plan]


def quota_plan(endpoint: Endpoint, vendor: str) -> Plan:
    """The allowance of the connection's plan as a quota's Plan."""
    from closingbell.warehouse.quota import Plan

    allowed = allowance(vendor, endpoint.extra.get("plan"))
    return Plan(
        per_second=allowed.per_second,
        burst=allowed.burst,
        day_limit=allowed.day_limit,
        day_zone=allowed.day_zone,
        symbol_limit=allowed.symbols,
    )


def quota_key(endpoint: Endpoint) -> str:
    """What shares one limit: an API key (by a digest that says nothing of it), or all of us where there is none."""
    return hashlib.sha256(endpoint.password.encode()).hexdigest()[:8] if endpoint.password else "all"


def open_hook(conn_id: str, engine: Engine | None, *, host: str = "") -> Any:
    """The hook of a connection, with the quota that all processes of this warehouse share (none without an engine).

    host: whose pages are asked for, where each host has a quota of its own (web).
    Raises ConnectionMissing where the connection, its key or its contact is missing.
    """
    from closingbell.connections import resolve

    endpoint = resolve(conn_id)
    vendor_hook = hook_class(conn_id)
    if engine is None:
        return vendor_hook(endpoint, None)
    from closingbell.warehouse.quota import Quota

    quota = Quota(engine, vendor_hook.vendor, host or quota_key(endpoint), quota_plan(endpoint, vendor_hook.vendor))
    return vendor_hook(endpoint, quota)


def hook_class(vendor: str) -> Any:
    """The vendor's client class, imported when asked for."""
    match vendor:
        case "sec_edgar":
            from closingbell.hooks.sec_edgar import SecEdgar

            return SecEdgar
        case "polygon":
            from closingbell.hooks.polygon import Polygon

            return Polygon
        case "tiingo":
            from closingbell.hooks.tiingo import Tiingo

            return Tiingo
        case "yahoo":
            from closingbell.hooks.yahoo import Yahoo

            return Yahoo
        case "reference":
            from closingbell.hooks.reference import Reference

            return Reference
        case "marketaux":
            from closingbell.hooks.marketaux import Marketaux

            return Marketaux
        case "gemini":
            from closingbell.hooks.gemini import Gemini

            return Gemini
        case "web":
            from closingbell.hooks.web import Web

            return Web
        case "benzinga":
            from closingbell.hooks.benzinga import Benzinga

            return Benzinga
    raise ValueError(f"no hook for {vendor!r}; there are {', '.join(ALLOWANCES)}")
