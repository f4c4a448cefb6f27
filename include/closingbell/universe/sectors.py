"""The eleven GICS sectors: spellings of them, and a company's sector from its SIC code by gics.toml.

In: a name as a vendor or operator writes it, or SEC's four-digit SIC. Out: the sector's name as S&P and MSCI write it.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from functools import lru_cache
from pathlib import Path
from typing import Any


def gics_sector(name: str | None) -> str | None:
    """The GICS sector that `name` spells ("Technology", "Healthcare", ...); None where it spells none."""
    if not name:
        return None
    return _spellings().get(_plain(name))


def sector_of_sic(sic: int | None) -> str | None:
    """The sector of a SIC code; None without code, for blank checks, governments and the unclassified."""
    if sic is None:
        return None
    starts, ranges = _ranges()
    at = bisect_right(starts, sic) - 1
    return ranges[at]["sector"] if at >= 0 and sic <= ranges[at]["last"] else None


def sectors() -> tuple[str, ...]:
    """The eleven names."""
    return tuple(_map()["sectors"])


@lru_cache(maxsize=1)
def _map() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "gics.toml").read_text())


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    found = {}
    for sector, others in _map()["sectors"].items():
        for spelling in (sector, *others):
            found[_plain(spelling)] = sector
    return found


@lru_cache(maxsize=1)
def _ranges() -> tuple[list[int], list[dict[str, Any]]]:
    """Ranges flattened so that a narrower one inside a wider one wins."""
    sector: dict[int, str | None] = {}
    for entry in sorted(_map()["sic"], key=lambda e: e["first"] - e["last"]):
        if entry["sector"] not in (*sectors(), ""):
            raise ValueError(f"gics.toml: {entry['sector']!r} of SIC {entry['first']} is no GICS sector")
        sector |= dict.fromkeys(range(entry["first"], entry["last"] + 1), entry["sector"] or None)
    flat: list[dict[str, Any]] = []
    for code, name in sorted(sector.items()):
        if flat and flat[-1]["sector"] == name and flat[-1]["last"] == code - 1:
            flat[-1]["last"] = code
        else:
            flat.append({"first": code, "last": code, "sector": name})
    return [entry["first"] for entry in flat], flat


def _plain(name: str) -> str:
    return "".join(c for c in name.lower().replace("&", "and") if c.isalnum())
