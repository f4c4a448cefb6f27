"""Vendor clients: one file a vendor, each method returns the vendor's untouched answer. `open_hook` opens one."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from closingbell.connections import Endpoint
    from closingbell.warehouse.quota import Plan, Quota

LONGEST_PROBE = 30.0
"""Seconds that a form or a terminal waits for its turn at a vendor."""


@dataclass(frozen=True)
class Allowance:
    """What a plan allows: requests a second (with `burst` at once), a day's budget, and symbols a month."""

    per_second: float
    burst: int = 1
    day_limit: int | None = None
    day_zone: str = "UTC"
    symbols: int | None = None


# What each vendor says of its plans: SEC "Accessing EDGAR Data"; the pricing pages of Polygon (Massive), Tiingo and
# Marketaux, which gives no figure a minute; Google's "Rate limits" of the Gemini API, which says that a project's day
# ends at midnight Pacific, and names a model's figures only in AI Studio since 2025: those here were its last. Benzinga
# publishes none: a contract's 500 a day. Yahoo has no API. A figure that none of them gives is our own, and modest.
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
    "marketaux": {
        "free": Allowance(0.5, day_limit=100),
        "basic": Allowance(0.5, day_limit=2_500),
        "standard": Allowance(1, day_limit=10_000),
        "pro": Allowance(1, day_limit=50_000),
        "sandbox": Allowance(200, burst=20),
    },
    "gemini": {  # of gemini-2.5-flash
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


def quota_of(endpoint: Endpoint, vendor: str, engine: Engine, host: str = "") -> Quota:
    """The quota that every process of this warehouse shares for the endpoint; see `open_hook` for `host`."""
    from closingbell.warehouse.quota import Quota

    return Quota(engine, vendor, host or quota_key(endpoint), quota_plan(endpoint, vendor))


def open_hook(conn_id: str, engine: Engine | None, *, vendor: str = "", host: str = "") -> Any:
    """The hook of a connection, with the quota that all processes of this warehouse share (none without an engine).

    vendor: whose connection it is, where its id is not the vendor's name. host: whose pages are asked for, where each
    host has a quota of its own (web). Raises ConnectionMissing where the connection, its key or its contact is missing.
    """
    from closingbell.connections import resolve

    endpoint, vendor = resolve(conn_id), vendor or conn_id
    return hook_class(vendor)(endpoint, quota_of(endpoint, vendor, engine, host) if engine else None)


def probe(conn_id: str, engine: Engine, *, vendor: str = "") -> tuple[bool, str]:
    """One cheap request out of the shared quota: (whether the vendor took it, what to tell the operator).

    A spent budget or a throttle is said, not waited for. No message holds a secret. vendor: see `open_hook`.
    """
    from closingbell.connections import ConnectionMissing, resolve
    from closingbell.warehouse.quota import QuotaExhausted

    vendor = vendor or conn_id
    found: list[tuple[bool, str]] = []
    try:
        endpoint, asked = resolve(conn_id), hook_class(vendor)
        for host in asked.hosts() if vendor == "web" else ("",):
            quota = quota_of(endpoint, vendor, engine, host)
            with closing(asked(endpoint, quota)) as hook:
                if (wait := quota.left()["wait"]) > LONGEST_PROBE:
                    return False, f"{vendor} throttles: nobody asks it for {wait:.0f} s more; test again then"
                found.append(hook.test(host) if host else hook.test())
    except (ConnectionMissing, QuotaExhausted, ValueError) as error:
        return False, str(error)
    return all(passed for passed, _ in found), "; ".join(said for _, said in found)


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
