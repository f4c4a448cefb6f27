"""Reference frames to the universe's tables: companies, securities, ticker_history, index_members.

In: frames of `parse` (and of `fundamentals.filings` for submissions), and the tables as they stand. Out: rows of the
tables without lineage, and problems (problem, key, detail). `on` is the New York day the answers were given; nothing
reads a clock.

A security keeps its id for life: cik * 1000 + class number (1, 2, ... in ticker order of first sight), or, where no
CIK is known when it is first seen, 10**15 + 40 bits of BLAKE2b of its FIGI or ticker. A ticker is a name that a
security bears for a while; reference data before its first known value uses the earliest one and is marked `assumed`.
Absence from a list is no evidence of delisting; only a vendor's delisting day ends a security.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from closingbell import sessions
from closingbell.universe.parse import PROBLEMS
from closingbell.universe.sectors import sector_of_sic

FIRST = sessions.FIRST
"""valid_from of what was never known to begin."""
DAY = timedelta(days=1)
SCORED_TYPES = ("CS", "ADRC", "OS", "GDR")
"""Polygon's type codes of shares in companies. Funds, warrants, units, rights, preferreds and notes get no score."""
WITHOUT_CIK = 10**15
EXCHANGES = {
    "nasdaq": "XNAS",
    "nyse": "XNYS",
    "cboe": "BATS",
    "nyse american": "XASE",
    "nyse arca": "ARCX",
    "otc": "OTC",
}

LISTINGS: dict[str, Any] = {
    "ticker": pl.String,
    "cik": pl.Int64,
    "name": pl.String,
    "figi": pl.String,
    "type": pl.String,
    "exchange": pl.String,
    "listed_on": pl.Date,
    "delisted_on": pl.Date,
    "class_shares": pl.Float64,
    "all_shares": pl.Float64,
    "details_on": pl.Date,
}
COMPANIES: dict[str, Any] = {
    "cik": pl.Int64,
    "valid_from": pl.Date,
    "name": pl.String,
    "sic": pl.Int32,
    "sic_description": pl.String,
    "sector": pl.String,
    "sector_source": pl.String,
    "fiscal_year_end": pl.String,
    "state": pl.String,
    "entity_type": pl.String,
}
SECURITIES: dict[str, Any] = {
    "security_id": pl.Int64,
    "cik": pl.Int64,
    "figi": pl.String,
    "name": pl.String,
    "share_class": pl.String,
    "type": pl.String,
    "exchange": pl.String,
    "shares_per_base": pl.Float64,
    "class_shares": pl.Float64,
    "class_shares_on": pl.Date,
    "first_session": pl.Date,
    "last_session": pl.Date,
}
TICKER_HISTORY: dict[str, Any] = {
    "ticker": pl.String,
    "valid_from": pl.Date,
    "valid_to": pl.Date,
    "security_id": pl.Int64,
    "assumed": pl.Boolean,
}
INDEX_MEMBERS: dict[str, Any] = {
    "index_name": pl.String,
    "security_id": pl.Int64,
    "valid_from": pl.Date,
    "valid_to": pl.Date,
    "rank": pl.Int32,
}


@dataclass(frozen=True, slots=True)
class Universe:
    """Rows of securities and ticker_history that the listings touch, and problems (PROBLEMS)."""

    securities: pl.DataFrame
    ticker_history: pl.DataFrame
    problems: pl.DataFrame


@dataclass(slots=True)
class _Spell:
    ticker: str
    valid_from: date
    valid_to: date | None
    security_id: int
    assumed: bool


@dataclass(slots=True)
class _Known:
    """What the tables hold, looked up while new listings are identified."""

    securities: dict[int, dict[str, Any]] = field(default_factory=dict)
    by_figi: dict[str, int] = field(default_factory=dict)
    spells: dict[str, list[_Spell]] = field(default_factory=dict)  # by ticker
    own: dict[int, list[_Spell]] = field(default_factory=dict)  # by security, the same objects
    by_cik: dict[int, list[int]] = field(default_factory=dict)

    def add_spell(self, spell: _Spell) -> None:
        self.spells.setdefault(spell.ticker, []).append(spell)
        self.own.setdefault(spell.security_id, []).append(spell)

    def add(self, row: dict[str, Any]) -> None:
        self.securities[row["security_id"]] = row
        if row["figi"]:
            self.by_figi[row["figi"]] = row["security_id"]
        if row["cik"] is not None and row["security_id"] not in self.by_cik.setdefault(row["cik"], []):
            self.by_cik[row["cik"]].append(row["security_id"])


# Listings: one frame out of what each source says


def listings(
    *,
    company_tickers: pl.DataFrame | None = None,
    polygon: pl.DataFrame | None = None,
    details: pl.DataFrame | None = None,
    supported: pl.DataFrame | None = None,
    stocks: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """LISTINGS, one row a listing: the sources' frames (`parse`) put together.

    Polygon (active and delisted, all pages) says type, FIGI and delisting; SEC says the CIK; details the listing day
    and shares; Tiingo's list the first day of prices where nothing else says when a listing began; the operator's
    table adds what nobody has. Without Polygon the type is inferred from ticker and name (see `inferred_type`).
    """
    rows: dict[str, dict[str, Any]] = {}
    delisted: list[dict[str, Any]] = []
    for row in _rows(polygon):
        listing = {name: row.get(name) for name in LISTINGS}
        if row["active"]:
            rows.setdefault(row["ticker"], listing)
        else:
            delisted.append(listing)
    for row in _rows(company_tickers):
        known = rows.setdefault(row["ticker"], dict.fromkeys(LISTINGS) | {"ticker": row["ticker"]})
        known["cik"] = row["cik"]
        known["name"] = known["name"] or row["name"]
        known["exchange"] = known["exchange"] or _exchange(row["exchange"])
    for row in _rows(stocks):
        known = rows.setdefault(row["ticker"], dict.fromkeys(LISTINGS) | {"ticker": row["ticker"]})
        known["cik"] = known["cik"] or row["cik"]
        known["name"] = known["name"] or row["name"]
    for row in _rows(details):
        detailed = rows.get(row["ticker"])
        if detailed is None or (detailed["figi"] and row["figi"] and detailed["figi"] != row["figi"]):
            detailed = next((d for d in delisted if d["ticker"] == row["ticker"] and d["figi"] == row["figi"]), None)
        if detailed is None and row["active"]:
            detailed = rows[row["ticker"]] = dict.fromkeys(LISTINGS) | {"ticker": row["ticker"]}
        if detailed is not None:
            names = ("listed_on", "class_shares", "all_shares", "details_on")
            detailed |= {name: row[name] for name in names if row[name] is not None}
            detailed |= {name: row[name] for name in ("cik", "name", "figi", "type", "exchange") if not detailed[name]}
    for ticker, first_day in _first_days(supported).items():
        if ticker in rows and rows[ticker]["listed_on"] is None:
            rows[ticker]["listed_on"] = first_day
    tickers_of: dict[int | None, set[str]] = {}
    for listing in rows.values():
        tickers_of.setdefault(listing["cik"], set()).add(listing["ticker"])
    for listing in (*rows.values(), *delisted):
        siblings = tickers_of.get(listing["cik"], set()) if listing["cik"] is not None else set()
        listing["name"] = listing["name"] or listing["ticker"]
        listing["type"] = listing["type"] or inferred_type(listing["ticker"], listing["name"], siblings)
    both = [rows[ticker] for ticker in sorted(rows)]
    both += sorted(delisted, key=lambda row: (row["ticker"], row["delisted_on"] or FIRST, row["cik"] or 0))
    return pl.DataFrame(both, schema=LISTINGS)


def inferred_type(ticker: str, name: str, siblings: Iterable[str] = ()) -> str:
    """Polygon's type code of a listing that only SEC names.

    A suffix says preferred, warrant, unit or right; so does Nasdaq's fifth letter where the first four are (or share)
    the ticker of the same company (`siblings`). A name with ETF, ETN or fund is a fund. All else is common stock.
    """
    root, _, suffix = ticker.partition(".")
    by_suffix = {"WS": "WARRANT", "U": "UNIT", "RT": "RIGHT", "WI": "OTHER"}
    if suffix.startswith("P"):
        return "PFD"
    if suffix in by_suffix or suffix.startswith("WS"):
        return by_suffix.get(suffix, "WARRANT")
    others = set(siblings) - {ticker}
    if len(root) == 5 and any(other == root[:4] or (len(other) == 5 and other[:4] == root[:4]) for other in others):
        fifth = {"W": "WARRANT", "U": "UNIT", "R": "RIGHT", "Y": "ADRC"} | dict.fromkeys("MNOP", "PFD")
        fifth |= dict.fromkeys("GHI", "BOND")
        if root[4] in fifth:
            return fifth[root[4]]
    if re.search(r"\b(ETF|ETN|FUNDS?)\b", name.upper()):
        return "ETF"
    return "CS"


def share_class(ticker: str, name: str, type_: str) -> str | None:
    """The class letter of a share, from the ticker's suffix (BRK.B) or the security's name ("Class A Common Stock")."""
    if type_ not in SCORED_TYPES:
        return None
    suffix = ticker.partition(".")[2]
    if len(suffix) == 1 and suffix not in "UW":
        return suffix
    named = re.search(r"\b(?:CLASS|CL|SERIES)\.? ([A-Z])\b", name.upper())
    return named[1] if named else None


# Securities and the tickers they bore


def securities(
    listed: pl.DataFrame,
    current: pl.DataFrame,
    ticker_history: pl.DataFrame,
    *,
    on: date,
    events: pl.DataFrame | None = None,
) -> Universe:
    """Securities and ticker_history as LISTINGS and ticker events show them on day `on`.

    current, ticker_history: the tables (empty at first). A listing is a known security by FIGI, else by its ticker
    and CIK, else as a rename: the one share of the same CIK, class and type whose ticker is gone from the list. A
    ticker that now belongs to another CIK is re-used: the old interval ends, the new one begins. valid_from of a
    stored interval never changes; what a later answer shows to be wrong about it becomes an interval of its own.
    """
    known = _tables(current, ticker_history)
    problems: list[dict[str, Any]] = []
    rows = listed.to_dicts()
    spells_of = _event_spells(events)
    active = {row["ticker"] for row in rows if row["delisted_on"] is None}
    touched: dict[int, dict[str, Any]] = {}
    for row in rows:
        row["share_class"] = share_class(row["ticker"], row["name"], row["type"])
        security_id, renamed = _identify(row, known, active)
        if security_id is None:
            security_id = _new_id(row, known)
        before = known.securities.get(security_id)
        if security_id in touched and row["delisted_on"] is not None:
            continue  # the active listing of the same security says more
        security = _security_row(security_id, row, before)
        known.add(security)
        touched[security_id] = security
        _spell_out(row, security_id, known, spells_of, on, renamed)
    _ratios(rows, touched, known, problems)
    names = {spell.ticker for security_id in touched for spell in known.own.get(security_id, ())}
    history = [spell for name in sorted(names) for spell in _untangled(known.spells[name])]
    return Universe(
        _frame(touched.values(), SECURITIES).sort("security_id"),
        _frame(({name: getattr(spell, name) for name in TICKER_HISTORY} for spell in history), TICKER_HISTORY),
        pl.DataFrame(problems, schema=PROBLEMS),
    )


def companies(observed: pl.DataFrame, current: pl.DataFrame, *, on: date) -> pl.DataFrame:
    """New versions of companies (COMPANIES), valid from `on`, only where an attribute changed against the newest one.

    observed: cik and any of the other columns; null means not said, and keeps what is known. The sector is chosen
    before, by `with_sectors`. A second run on one day gives the same key.
    """
    attributes = [name for name in COMPANIES if name not in ("cik", "valid_from")]
    newest = {row["cik"]: row for row in current.sort("valid_from").iter_rows(named=True)}
    versions = []
    for row in observed.unique("cik", keep="first", maintain_order=True).iter_rows(named=True):
        before = newest.get(row["cik"])
        merged = {name: row.get(name) if row.get(name) is not None else (before or {}).get(name) for name in attributes}
        if before and row.get("sector") is not None:
            merged["sector_source"] = row.get("sector_source")
        merged["name"] = merged["name"] or f"CIK {row['cik']}"
        if before is None or any(merged[name] != before[name] for name in attributes):
            versions.append({"cik": row["cik"], "valid_from": on, **merged})
    return _frame(versions, COMPANIES).sort("cik")


def with_sectors(
    observed: pl.DataFrame,
    *,
    sp500: pl.DataFrame | None = None,
    operator: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """`observed` companies with sector and sector_source: S&P 500's table, else the operator's, else SIC by gics.toml.

    sp500: frame of `parse.sp500`; operator: cik and sector (`parse.stocks`, or Fortune 500 rows matched to companies).
    """
    from_sp500 = _sectors(sp500)
    from_operator = _sectors(operator)
    chosen = []
    for row in observed.iter_rows(named=True):
        cik = row["cik"]
        options = (
            (from_sp500.get(cik), "sp500"),
            (from_operator.get(cik), "operator"),
            (sector_of_sic(row.get("sic")), "sic"),
        )
        chosen.append(next(((sector, source) for sector, source in options if sector), (None, None)))
    return observed.drop("sector", "sector_source", strict=False).with_columns(
        pl.Series("sector", [sector for sector, _ in chosen], dtype=pl.String),
        pl.Series("sector_source", [source for _, source in chosen], dtype=pl.String),
    )


# Index members


def index_members(index_name: str, members: pl.DataFrame, current: pl.DataFrame, *, on: date) -> pl.DataFrame:
    """Rows of index_members that today's list makes: new members, and those that left (valid_to) or changed rank.

    members: security_id and, where the list has them, rank and added_on. current: the table (any indices). A new
    member is in from added_on where that is known and does not reach into an earlier membership, else from `on`; one
    that vanished is out from `on`; one that comes back gets a new row.
    """
    rows = [row for row in current.iter_rows(named=True) if row["index_name"] == index_name]
    open_rows = {row["security_id"]: row for row in rows if row["valid_to"] is None}
    last_end: dict[int, date] = {}
    for row in rows:
        if row["valid_to"] is not None:
            last_end[row["security_id"]] = max(row["valid_to"], last_end.get(row["security_id"], row["valid_to"]))
    out = []
    seen = set()
    for member in members.unique("security_id", keep="first", maintain_order=True).iter_rows(named=True):
        security_id, rank = member["security_id"], member.get("rank")
        seen.add(security_id)
        row = {"index_name": index_name, "security_id": security_id, "valid_to": None, "rank": rank}
        before = open_rows.get(security_id)
        if before is None:
            added = member.get("added_on")
            known = added is not None and added <= on and added > last_end.get(security_id, date.min)
            out.append({**row, "valid_from": added if known else on})
        elif before["rank"] == rank or before["valid_from"] >= on:
            out.append({**row, "valid_from": before["valid_from"]})
        else:
            out += [{**before, "valid_to": on - DAY}, {**row, "valid_from": on}]
    for security_id, before in open_rows.items():
        if security_id not in seen:
            out.append({**before, "valid_to": on - DAY})
    return _frame(out, INDEX_MEMBERS).sort("security_id", "valid_from")


def match_members(
    rows: pl.DataFrame, securities: pl.DataFrame, ticker_history: pl.DataFrame, *, on: date
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows with `security_id`, problems): a list's rows by ticker valid on `on`, else by CIK, else by company name.

    rows: any of ticker, cik, name. A ticker whose security has another CIK than the row is not taken. CIK and name
    lead to the company's first share class. Names are compared as `plain_name`; one that fits several companies fits
    none. What nothing matches is a problem `unmatched`.
    """
    scored = {
        row["security_id"]: row
        for row in securities.sort("security_id").iter_rows(named=True)
        if row["type"] in SCORED_TYPES
    }
    bears = {
        row["ticker"]: row["security_id"]
        for row in ticker_history.sort("valid_from").iter_rows(named=True)
        if row["valid_from"] <= on and (row["valid_to"] is None or row["valid_to"] >= on)
    }
    by_cik: dict[int, int] = {}
    by_name: dict[str, set[int]] = {}
    by_looser_name: dict[str, set[int]] = {}
    for security_id, row in scored.items():
        if row["cik"] is None or row["last_session"] is not None:
            continue
        by_cik.setdefault(row["cik"], security_id)
        by_name.setdefault(plain_name(row["name"]), set()).add(by_cik[row["cik"]])
        by_looser_name.setdefault(plain_name(row["name"], groups=True), set()).add(by_cik[row["cik"]])
    matched, problems = [], []
    for number, row in enumerate(rows.iter_rows(named=True)):
        cik, name = row.get("cik"), row.get("name") or ""
        security_id = bears.get(row.get("ticker") or "")
        if security_id is not None and cik and scored.get(security_id, {}).get("cik") not in (None, cik):
            security_id = None
        if security_id is None and cik:
            security_id = by_cik.get(cik)
        if security_id is None and name:
            named = by_name.get(plain_name(name)) or by_looser_name.get(plain_name(name, groups=True)) or set()
            security_id = next(iter(named)) if len(named) == 1 else None
        if security_id is None:
            key = row.get("ticker") or name
            said = f"{name!r} (rank {row.get('rank')})" if row.get("rank") else f"{name!r}"
            problems.append(
                {
                    "problem": "unmatched",
                    "key": str(key),
                    "detail": f"{said} is no security here by ticker, CIK or name",
                }
            )
        else:
            matched.append((number, security_id))
    ids = pl.Series("security_id", [security_id for _, security_id in matched], dtype=pl.Int64)
    return rows[[number for number, _ in matched]].with_columns(ids), pl.DataFrame(problems, schema=PROBLEMS)


LEGAL_FORMS = (
    r"THE|INC|INCORPORATED|CORP|CORPORATION|CO|COS|COMPANY|COMPANIES|LTD|LIMITED|LLC|LP|PLC|NV|SA|AG|SE|NEW|COM|AND|"
    r"COMMON STOCK|ORDINARY SHARES|CLASS [A-Z]|AMERICAN DEPOSITARY SHARES"
)
FORMS = re.compile(rf"\b(?:{LEGAL_FORMS})\b")
FORMS_AND_GROUPS = re.compile(rf"\b(?:{LEGAL_FORMS}|HOLDINGS?|GROUP)\b")


def plain_name(name: str, *, groups: bool = False) -> str:
    """A company's name, upper case, without legal form, share class, state tag (/DE/), punctuation and spaces.

    `groups` takes out Holdings and Group too. A name that is nothing else stays as it is.
    """
    text = re.sub(r"\s*[/\\][A-Z ]{2,}[/\\]?\s*$", "", name.upper())
    text = re.sub(r"[^A-Z0-9]+", " ", re.sub(r"['’]|(?<=\b[A-Z])\.", "", text.replace(".COM", " COM")))
    return (FORMS_AND_GROUPS if groups else FORMS).sub("", text).replace(" ", "") or name.upper().strip()


# Identification


def _identify(row: dict[str, Any], known: _Known, active: set[str]) -> tuple[int | None, bool]:
    """(security_id, whether by rename); (None, False) for a security never seen."""
    if row["figi"] and row["figi"] in known.by_figi:
        return known.by_figi[row["figi"]], False
    for spell in sorted(known.spells.get(row["ticker"], ()), key=lambda s: s.valid_to or date.max, reverse=True):
        security = known.securities[spell.security_id]
        same_cik = row["cik"] is None or security["cik"] is None or row["cik"] == security["cik"]
        same_figi = not (row["figi"] and security["figi"])
        alive = row["delisted_on"] is not None or security["last_session"] is None
        if same_cik and same_figi and alive and row["type"] == security["type"]:
            return spell.security_id, False
    if row["cik"] is None or row["delisted_on"] is not None or row["type"] not in SCORED_TYPES:
        return None, False
    candidates = [
        security_id
        for security_id in known.by_cik.get(row["cik"], ())
        if _could_be(row, known.securities[security_id])
        and not any(s.ticker in active for s in known.own.get(security_id, ()) if s.valid_to is None)
    ]
    return (candidates[0], True) if len(candidates) == 1 else (None, False)


def _could_be(row: dict[str, Any], security: dict[str, Any]) -> bool:
    return (
        security["last_session"] is None
        and security["type"] == row["type"]
        and security["share_class"] == row["share_class"]
        and not (row["figi"] and security["figi"])
    )


def _new_id(row: dict[str, Any], known: _Known) -> int:
    if row["cik"] is None:
        digest = hashlib.blake2b((row["figi"] or row["ticker"]).encode(), digest_size=5).digest()
        return WITHOUT_CIK + int.from_bytes(digest, "big")
    own = [i for i in known.by_cik.get(row["cik"], ()) if i // 1000 == row["cik"]]
    number = max((i % 1000 for i in own), default=0) + 1
    if number > 999:
        raise ValueError(f"CIK {row['cik']} has more than 999 securities; is it a ticker list of one company?")
    return row["cik"] * 1000 + number


def _security_row(security_id: int, row: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    old: dict[str, Any] = before or dict.fromkeys(SECURITIES)
    delisted = row["delisted_on"]
    return {
        "security_id": security_id,
        "cik": row["cik"] if row["cik"] is not None else old["cik"],
        "figi": row["figi"] or old["figi"],
        "name": row["name"],
        "share_class": row["share_class"] or old["share_class"],
        "type": row["type"],
        "exchange": row["exchange"] or old["exchange"],
        "shares_per_base": old["shares_per_base"] or 1.0,
        "class_shares": row["class_shares"] if row["class_shares"] is not None else old["class_shares"],
        "class_shares_on": row["details_on"] if row["class_shares"] is not None else old["class_shares_on"],
        "first_session": row["listed_on"] or old["first_session"],
        "last_session": _session_by(delisted) if delisted else old["last_session"],
    }


def _session_by(day: date) -> date:
    """The last session on or before `day`; `day` itself outside the calendar."""
    calendar = sessions.calendar()
    if not calendar.first_session.date() <= day <= calendar.last_session.date():
        return day
    return calendar.date_to_session(day.isoformat(), direction="previous").date()


def _ratios(
    rows: Sequence[dict[str, Any]], touched: dict[int, dict[str, Any]], known: _Known, problems: list[dict[str, Any]]
) -> None:
    """shares_per_base of each class: from shares "if all classes were converted into this one", else from the file."""
    by_cik: dict[int, list[tuple[int, float]]] = {}
    for row in rows:
        spells = known.spells.get(row["ticker"], ())
        ids = [spell.security_id for spell in spells if spell.security_id in touched and spell.valid_to is None]
        if len(ids) != 1 or row["cik"] is None or row["type"] not in SCORED_TYPES:
            continue
        stated = _stated_ratios().get((row["ticker"], row["cik"]))
        if stated:
            touched[ids[0]]["shares_per_base"] = stated
        if row["all_shares"]:
            by_cik.setdefault(row["cik"], []).append((ids[0], row["all_shares"]))
    for cik, classes in by_cik.items():
        base = max(shares for _, shares in classes)
        for security_id, shares in classes if len(classes) > 1 else ():
            ratio = base / shares
            if abs(ratio / round(ratio) - 1) > 0.01:
                detail = f"security {security_id}: {ratio:.4g} base shares a share is no whole number; left as it was"
                problems.append({"problem": "class_ratio", "key": f"CIK {cik}", "detail": detail})
            else:
                touched[security_id]["shares_per_base"] = float(round(ratio))


@lru_cache(maxsize=1)
def _stated_ratios() -> dict[tuple[str, int], float]:
    entries = tomllib.loads((Path(__file__).parent / "share_ratios.toml").read_text())["class"]
    return {(entry["ticker"], entry["cik"]): float(entry["shares_per_base"]) for entry in entries}


# Ticker intervals


def _event_spells(events: pl.DataFrame | None) -> dict[str, list[tuple[str, date]]]:
    """{figi, else CIK: [(ticker, first day)], oldest first}; events that name neither are left out."""
    found: dict[str, list[tuple[str, date]]] = {}
    if events is None:
        return found
    named = events.filter(pl.col("figi").is_not_null() | pl.col("cik").is_not_null())
    for row in named.sort("valid_from").iter_rows(named=True):
        key = row["figi"] or f"CIK {row['cik']}"
        spells = found.setdefault(key, [])
        if not spells or spells[-1][0] != row["ticker"]:
            spells.append((row["ticker"], row["valid_from"]))
    return found


def _spell_out(
    row: dict[str, Any],
    security_id: int,
    known: _Known,
    spells_of: dict[str, list[tuple[str, date]]],
    on: date,
    renamed: bool,
) -> None:
    """Put the security's tickers into known.spells: those of its events, and the one it is listed under."""
    dated: list[tuple[str, date | None]] = list(spells_of.get(row["figi"] or f"CIK {row['cik']}", ()))
    if not dated or dated[-1][0] != row["ticker"]:
        begins = row["listed_on"] if not dated and not renamed else None
        dated.append((row["ticker"], begins if begins is not None or not (renamed or dated) else on))
    own = list(known.own.get(security_id, ()))
    for number, (ticker, begins) in enumerate(dated):
        following = dated[number + 1][1] if number + 1 < len(dated) else None
        ends = following - DAY if following else row["delisted_on"]
        stored = [
            spell
            for spell in own
            if spell.ticker == ticker
            and (ends is None or spell.valid_from <= ends)
            and (begins is None or spell.valid_to is None or spell.valid_to >= begins)
            and (spell.valid_to is None or spell.valid_to >= spell.valid_from)
        ]
        if stored:
            stored[-1].valid_to = ends
            continue
        others = [s for s in known.spells.get(ticker, ()) if s.security_id != security_id and s.valid_to is None]
        assumed = begins is None
        if begins is None:
            begins = FIRST
            if others and not row["delisted_on"] and all(not s.assumed or s.valid_from < on for s in others):
                stored_before = [s for s in others if s.security_id in known.securities]
                if stored_before:
                    begins, assumed = on, False  # seen to change hands between two runs
        known.add_spell(_Spell(ticker, begins, ends, security_id, assumed))
    last_ticker, last_begins = dated[-1]
    for spell in own:
        if spell.valid_to is None and spell.ticker != last_ticker:
            spell.valid_to = (last_begins or on) - DAY


def _untangled(spells: Sequence[_Spell]) -> list[_Spell]:
    """One ticker's intervals without overlaps: what is known cuts what is assumed, a shorter assumed one a longer.

    Keys stay: an interval whose beginning another one takes over remains as an empty one (valid_to before valid_from).
    """
    if len({spell.security_id for spell in spells}) < 2:
        return sorted(spells, key=lambda s: s.valid_from)
    far = date.max
    assumed = sorted((s for s in spells if s.assumed), key=lambda s: s.valid_to or far, reverse=True)
    painted: list[_Spell] = []
    for top in (*assumed, *sorted((s for s in spells if not s.assumed), key=lambda s: s.valid_from)):
        end = top.valid_to or far
        kept: list[_Spell] = []
        for below in painted:
            below_end = below.valid_to or far
            if below.security_id == top.security_id or below_end < top.valid_from or end < below.valid_from:
                kept.append(below)
                continue
            if below.valid_from < top.valid_from:
                kept.append(
                    _Spell(below.ticker, below.valid_from, top.valid_from - DAY, below.security_id, below.assumed)
                )
            if end < below_end:
                kept.append(_Spell(below.ticker, end + DAY, below.valid_to, below.security_id, True))
        painted = [*kept, top]
    keys = {spell.valid_from for spell in painted}
    voided = [
        _Spell(spell.ticker, spell.valid_from, spell.valid_from - DAY, spell.security_id, spell.assumed)
        for spell in spells
        if spell.valid_from not in keys and spell.valid_from != FIRST
    ]
    return sorted((*painted, *voided), key=lambda s: s.valid_from)


# Small things


def _tables(current: pl.DataFrame, ticker_history: pl.DataFrame) -> _Known:
    known = _Known()
    for row in current.select(list(SECURITIES)).sort("security_id").iter_rows(named=True):
        known.add(row)
    for row in ticker_history.select(list(TICKER_HISTORY)).sort("valid_from").iter_rows(named=True):
        known.add_spell(_Spell(**row))
    return known


def _rows(frame: pl.DataFrame | None) -> Iterable[dict[str, Any]]:
    return () if frame is None else frame.iter_rows(named=True)


def _frame(rows: Iterable[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def _sectors(frame: pl.DataFrame | None) -> dict[int, str]:
    return {row["cik"]: row["sector"] for row in _rows(frame) if row["cik"] is not None and row["sector"]}


def _exchange(name: str | None) -> str | None:
    return EXCHANGES.get(name.lower(), name) if name else None


def _first_days(supported: pl.DataFrame | None) -> dict[str, date]:
    if supported is None:
        return {}
    newest = supported.filter(
        (pl.col("asset_type") != "Mutual Fund") & pl.col("first_day").is_not_null() & pl.col("last_day").is_not_null()
    ).sort("last_day")
    return dict(zip(newest["ticker"], newest["first_day"], strict=True))
