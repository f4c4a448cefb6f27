"""Reference frames to securities, ticker_history and class_shares (companies and index members: `members`).

In: frames of `parse`, with the landing_id of their answer where it is known, and the tables as they stand. Out: rows of
the tables with the landing_id each comes from, and problems (problem, key, detail). `on` is the New York day the
answers were given; nothing reads a clock.

A security keeps its id for life: cik * 1000 + class number (1, 2, ... in ticker order of first sight), or, where no
CIK is known when it is first seen, 10**15 + 40 bits of BLAKE2b of its FIGI or ticker. A ticker is a name that a
security bears for a while; reference data before its first known value uses the earliest one and is marked `assumed`.
Absence from a list is no evidence of delisting; only a vendor's delisting day ends a security.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from closingbell import sessions
from closingbell.universe.parse import PROBLEMS

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
    "type_inferred": pl.Boolean,
    "exchange": pl.String,
    "listed_on": pl.Date,
    "delisted_on": pl.Date,
    "class_shares": pl.Float64,
    "all_shares": pl.Float64,
    "details_on": pl.Date,
    "landing_id": pl.Int64,
    "details_landing_id": pl.Int64,
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
    "type_inferred": pl.Boolean,
    "exchange": pl.String,
    "shares_per_base": pl.Float64,
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
CLASS_SHARES: dict[str, Any] = {"security_id": pl.Int64, "valid_from": pl.Date, "shares": pl.Float64}
LANDING: dict[str, Any] = {"landing_id": pl.Int64}
"""What a row adds to its table's columns: the answer it comes from, null for a stored row that stays as it is."""
INDEX_MEMBERS: dict[str, Any] = {
    "index_name": pl.String,
    "security_id": pl.Int64,
    "valid_from": pl.Date,
    "valid_to": pl.Date,
    "rank": pl.Int32,
}


@dataclass(frozen=True, slots=True)
class Universe:
    """Rows of securities, ticker_history and class_shares that the listings touch, with LANDING, and PROBLEMS."""

    securities: pl.DataFrame
    ticker_history: pl.DataFrame
    class_shares: pl.DataFrame
    problems: pl.DataFrame


@dataclass(slots=True)
class _Spell:
    ticker: str
    valid_from: date
    valid_to: date | None
    security_id: int
    assumed: bool
    landing_id: int | None = None  # the answer that made or changed it; None for a stored one that stays

    def end(self, valid_to: date | None, landing_id: int | None) -> None:
        if valid_to is not None:
            valid_to = max(valid_to, self.valid_from - DAY)  # an end before it began: it never was
        if valid_to != self.valid_to:
            self.valid_to, self.landing_id = valid_to, landing_id


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
    table adds what nobody has. Without Polygon the type is inferred (see `inferred_type`), but for the funds that
    Tiingo names; the order of a company's tickers is SEC's, which begins with its common share.
    landing_id, where the frames have it, is that of the first source that names the listing.
    """
    rows: dict[str, dict[str, Any]] = {}
    delisted: list[dict[str, Any]] = []
    for row in rows_of(polygon):
        listing = {name: row.get(name) for name in LISTINGS}
        if row["active"]:
            rows.setdefault(row["ticker"], listing)
        else:
            delisted.append(listing)
    for row in rows_of(company_tickers):
        known = rows.setdefault(row["ticker"], _listing(row))
        known["cik"] = row["cik"]
        known["name"] = known["name"] or row["name"]
        known["exchange"] = known["exchange"] or _exchange(row["exchange"])
    for row in rows_of(stocks):
        known = rows.setdefault(row["ticker"], _listing(row))
        known["cik"] = known["cik"] or row["cik"]
        known["name"] = known["name"] or row["name"]
    for row in rows_of(details):
        detailed = rows.get(row["ticker"])
        if detailed is None or (detailed["figi"] and row["figi"] and detailed["figi"] != row["figi"]):
            detailed = next((d for d in delisted if d["ticker"] == row["ticker"] and d["figi"] == row["figi"]), None)
        if detailed is None and row["active"]:
            detailed = rows[row["ticker"]] = _listing(row)
        if detailed is not None:
            names = ("listed_on", "class_shares", "all_shares", "details_on")
            detailed |= {name: row[name] for name in names if row[name] is not None}
            detailed["details_landing_id"] = row.get("landing_id")
            detailed |= {name: row[name] for name in ("cik", "name", "figi", "type", "exchange") if not detailed[name]}
    for ticker, first_day in _first_days(supported).items():
        if ticker in rows and rows[ticker]["listed_on"] is None:
            rows[ticker]["listed_on"] = first_day
    tickers_of: dict[int | None, list[str]] = {}
    for listing in (*rows_of(company_tickers), *rows.values()):
        if listing["ticker"] not in (siblings := tickers_of.setdefault(listing["cik"], [])):
            siblings.append(listing["ticker"])
    funds = _funds(supported)
    vouched = {row["ticker"] for row in rows_of(stocks)}
    for listing in (*rows.values(), *delisted):
        ticker, cik = listing["ticker"], listing["cik"]
        listing["name"] = listing["name"] or ticker
        listing["type"] = listing["type"] or funds.get(ticker)
        listing["type_inferred"] = listing["type"] is None
        if listing["type"] is None:
            siblings = tickers_of.get(cik, []) if cik is not None and ticker not in vouched else []
            listing["type"] = inferred_type(ticker, listing["name"], siblings, cik)
    both = [rows[ticker] for ticker in sorted(rows)]
    both += sorted(delisted, key=lambda row: (row["ticker"], row["delisted_on"] or FIRST, row["cik"] or 0))
    return pl.DataFrame(both, schema=LISTINGS)


def _listing(row: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(LISTINGS) | {"ticker": row["ticker"], "landing_id": row.get("landing_id")}


def inferred_type(ticker: str, name: str, siblings: Sequence[str] = (), cik: int | None = None) -> str:
    """Polygon's type code of a listing that no vendor types; siblings: the company's tickers, SEC's order.

    A suffix says preferred, warrant, unit or right, and a single letter a class; so does Nasdaq's fifth letter where
    the first four are (or share) the ticker of the same company. A name with ETF, ETN or fund is a fund. Of a company's
    other tickers one is its common share (see `_common`); the rest may be notes, preferreds, receipts or former
    tickers, and are OTHER, which is not scored, unless they are pairs of Nasdaq's class letters (LBTYA, LBTYK) or in
    share_classes.toml.
    """
    if marked := _marked(ticker, name, siblings):
        return marked
    if len(siblings) < 2 or "." in ticker or (ticker, cik) in _stated_classes():
        return "CS"
    letters = [other for other in siblings if len(other) == 5 and other[:4] == ticker[:4] and other[4] in "ABK"]
    paired = ticker in letters and len(letters) > 1 and ticker[:4] not in siblings
    return "CS" if paired or ticker == _common(name, siblings) else "OTHER"


def _common(name: str, siblings: Sequence[str]) -> str | None:
    """The common share of several tickers: the first without a mark, or the one that it begins with (BIPH, BIP).

    A company whose first ticker is a preferred or a bond has none, unless it begins with it.
    """
    plain = [ticker for ticker in siblings if "." not in ticker and not _marked(ticker, name, siblings)]
    if not plain:
        return None
    common = min((ticker for ticker in plain if plain[0].startswith(ticker)), key=len)
    first = siblings[0]
    root = first.partition(".")[0] if "." in first else first[:4]
    return common if _marked(first, name, siblings) not in ("PFD", "BOND") or common == root else None


def _marked(ticker: str, name: str, siblings: Sequence[str]) -> str | None:
    root, _, suffix = ticker.partition(".")
    by_suffix = {"WS": "WARRANT", "U": "UNIT", "RT": "RIGHT", "WI": "OTHER"}
    if suffix.startswith("P"):
        return "PFD"
    if suffix in by_suffix or suffix.startswith(("WS", "WT")):
        return by_suffix.get(suffix, "WARRANT")
    others = [other for other in siblings if other != ticker]
    if len(root) == 5 and any(other == root[:4] or (len(other) == 5 and other[:4] == root[:4]) for other in others):
        fifth = {"W": "WARRANT", "U": "UNIT", "R": "RIGHT", "Y": "ADRC"} | dict.fromkeys("MNOP", "PFD")
        fifth |= dict.fromkeys("GHI", "BOND")
        if root[4] in fifth:
            return fifth[root[4]]
    if re.search(r"\b(ETF|ETN|FUNDS?)\b", name.upper()):
        return "ETF"
    foreign = [other for other in siblings if len(other) == 5 and other[4] == "F"]  # own shares over the counter
    receipt = len(root) == 5 and root[4] == "Y" and foreign
    return "ADRC" if receipt or (re.search(r"/ADR\b", name.upper()) and ticker not in foreign) else None


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
    named: tuple[pl.DataFrame, pl.DataFrame] | None = None,
) -> Universe:
    """Securities, ticker_history and class_shares as LISTINGS and ticker events show them on day `on`.

    current, ticker_history: the tables (empty at first). A listing is a known security by FIGI, else by its ticker
    and CIK, else as a rename: the one share of the same CIK, class and type whose ticker is gone from the list. A
    ticker that now belongs to another CIK is re-used: the old interval ends, the new one begins. valid_from of a
    stored interval never changes; what a later answer shows to be wrong about it becomes an interval of its own.
    A security without any ticker is of a run that ended before its ticker_history was published: its listing's again.
    named: securities and ticker_history whose ids hold though current does not have them yet (a replay).
    """
    known = _tables(current, ticker_history)
    published = _tables(*named) if named else _Known()
    problems: list[dict[str, Any]] = []
    rows = listed.to_dicts()
    spells_of = _event_spells(events)
    active = {row["ticker"] for row in rows if row["delisted_on"] is None}
    touched: dict[int, dict[str, Any]] = {}
    counted: dict[tuple[int, date], dict[str, Any]] = {}
    for row in rows:
        row["share_class"] = share_class(row["ticker"], row["name"], row["type"])
        security_id, renamed = _identify(row, known, active, on)
        if security_id is None:
            security_id = _id_of_before(row, known, published, active, on) or _new_id(row, known, published)
        before = known.securities.get(security_id)
        if security_id in touched and row["delisted_on"] is not None:
            continue  # the active listing of the same security says more
        security = _security_row(security_id, row, before)
        known.add(security)
        touched[security_id] = security
        if row["class_shares"] is not None and row["details_on"] is not None:
            counted[security_id, row["details_on"]] = {
                "security_id": security_id,
                "valid_from": row["details_on"],
                "shares": row["class_shares"],
                "landing_id": row["details_landing_id"],
            }
        _spell_out(row, security_id, known, spells_of, on, renamed)
        if row["type_inferred"] and security["type"] == "OTHER" and "." not in row["ticker"]:
            detail = f"one of several tickers of CIK {row['cik']}, not known to be a share; not scored"
            problems.append({"problem": "unknown_type", "key": row["ticker"], "detail": detail})
    _ratios(rows, touched, known, problems)
    names = {spell.ticker for security_id in touched for spell in known.own.get(security_id, ())}
    history = [spell for name in sorted(names) for spell in _untangled(known.spells[name])]
    return Universe(
        frame_of(touched.values(), SECURITIES | LANDING).sort("security_id"),
        frame_of(map(asdict, history), TICKER_HISTORY | LANDING),
        frame_of(counted.values(), CLASS_SHARES | LANDING).sort("security_id", "valid_from"),
        pl.DataFrame(problems, schema=PROBLEMS),
    )


# Identification


def _identify(row: dict[str, Any], known: _Known, active: set[str], on: date) -> tuple[int | None, bool]:
    """(security_id, whether by rename); (None, False) for a security never seen."""
    if row["figi"] and row["figi"] in known.by_figi:
        return known.by_figi[row["figi"]], False
    for spell in sorted(known.spells.get(row["ticker"], ()), key=lambda s: s.valid_to or date.max, reverse=True):
        security = known.securities[spell.security_id]
        same_cik = row["cik"] is None or security["cik"] is None or row["cik"] == security["cik"]
        same_figi = not (row["figi"] and security["figi"])
        same_type = row["type"] == security["type"] or row["type_inferred"] or security["type_inferred"]
        if same_cik and same_figi and same_type and _alive(row, security, on):
            return spell.security_id, False
    if row["cik"] is None or row["delisted_on"] is not None or row["type"] not in SCORED_TYPES:
        return None, False
    candidates = [
        security_id
        for security_id in known.by_cik.get(row["cik"], ())
        if (borne := known.own.get(security_id))
        and _could_be(row, known.securities[security_id], on)
        and not any(s.ticker in active for s in borne if s.valid_to is None)
    ]
    return (candidates[0], True) if len(candidates) == 1 else (None, False)


def _alive(row: dict[str, Any], security: dict[str, Any], on: date) -> bool:
    """Whether the security was listed on the day of an active listing; a replay's tables know when it ended since."""
    return row["delisted_on"] is not None or security["last_session"] is None or security["last_session"] >= on


def _could_be(row: dict[str, Any], security: dict[str, Any], on: date) -> bool:
    return (
        _alive(row, security, on)
        and security["type"] == row["type"]
        and security["share_class"] == row["share_class"]
        and not (row["figi"] and security["figi"])
    )


def _id_of_before(row: dict[str, Any], known: _Known, published: _Known, active: set[str], on: date) -> int | None:
    """The id that the listing was given: in a replay's tables, or by a run that never published its ticker."""
    security_id, _ = _identify(row, published, active, on)
    if security_id is not None and security_id not in known.securities:
        return security_id
    for tables, given in ((known, known.own), (published, known.securities | published.own)):
        for security_id in tables.by_cik.get(row["cik"], ()):
            if security_id not in given and _could_be(row, tables.securities[security_id], on):
                return security_id
    return None


def _new_id(row: dict[str, Any], known: _Known, published: _Known) -> int:
    if row["cik"] is None:
        digest = hashlib.blake2b((row["figi"] or row["ticker"]).encode(), digest_size=5).digest()
        return WITHOUT_CIK + int.from_bytes(digest, "big")
    taken = (*known.by_cik.get(row["cik"], ()), *published.by_cik.get(row["cik"], ()))
    own = [i for i in taken if i // 1000 == row["cik"]]
    number = max((i % 1000 for i in own), default=0) + 1
    if number > 999:
        raise ValueError(f"CIK {row['cik']} has more than 999 securities; is it a ticker list of one company?")
    return row["cik"] * 1000 + number


def _security_row(security_id: int, row: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    old: dict[str, Any] = before or dict.fromkeys(SECURITIES)
    delisted = row["delisted_on"]
    known = row if old["type"] is None or old["type_inferred"] or not row["type_inferred"] else old
    return {
        "security_id": security_id,
        "cik": row["cik"] if row["cik"] is not None else old["cik"],
        "figi": row["figi"] or old["figi"],
        "name": row["name"],
        "share_class": row["share_class"] or old["share_class"],
        "type": known["type"],
        "type_inferred": bool(known["type_inferred"]),
        "exchange": row["exchange"] or old["exchange"],
        "shares_per_base": old["shares_per_base"] or 1.0,
        "first_session": row["listed_on"] or old["first_session"],
        "last_session": _session_by(delisted) if delisted else old["last_session"],
        "landing_id": row["landing_id"],
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
        stated = _stated_classes().get((row["ticker"], row["cik"]))
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
def _stated_classes() -> dict[tuple[str, int | None], float]:
    """{(ticker, cik): base shares a share} of share_classes.toml."""
    entries = tomllib.loads((Path(__file__).parent / "share_classes.toml").read_text())["class"]
    return {(ticker, row["cik"]): float(row.get("shares_per_base", 1)) for row in entries for ticker in row["tickers"]}


# Ticker intervals


def _event_spells(events: pl.DataFrame | None) -> dict[str, list[tuple[str, date, int | None]]]:
    """{figi, else CIK: [(ticker, first day, landing_id)], oldest first}; events that name neither are left out."""
    found: dict[str, list[tuple[str, date, int | None]]] = {}
    if events is None:
        return found
    named = events.filter(pl.col("figi").is_not_null() | pl.col("cik").is_not_null())
    for row in named.sort("valid_from").iter_rows(named=True):
        key = row["figi"] or f"CIK {row['cik']}"
        spells = found.setdefault(key, [])
        if not spells or spells[-1][0] != row["ticker"]:
            spells.append((row["ticker"], row["valid_from"], row.get("landing_id")))
    return found


def _spell_out(
    row: dict[str, Any],
    security_id: int,
    known: _Known,
    spells_of: dict[str, list[tuple[str, date, int | None]]],
    on: date,
    renamed: bool,
) -> None:
    """Put the security's tickers into known.spells: those of its events, and the one it is listed under."""
    listing = row["landing_id"]
    dated: list[tuple[str, date | None, int | None]] = list(spells_of.get(row["figi"] or f"CIK {row['cik']}", ()))
    if not dated or dated[-1][0] != row["ticker"]:
        begins = row["listed_on"] if not dated and not renamed else None
        dated.append((row["ticker"], begins if begins is not None or not (renamed or dated) else on, listing))
    own = list(known.own.get(security_id, ()))
    for number, (ticker, begins, said_by) in enumerate(dated):
        _, following, ended_by = dated[number + 1] if number + 1 < len(dated) else (None, None, listing)
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
            stored[-1].end(ends, ended_by)
            continue
        others = [s for s in known.spells.get(ticker, ()) if s.security_id != security_id and s.valid_to is None]
        assumed = begins is None
        if begins is None:
            begins = FIRST
            if others and not row["delisted_on"] and all(not s.assumed or s.valid_from < on for s in others):
                begins, assumed = on, False  # seen to change hands between two runs
        known.add_spell(_Spell(ticker, begins, ends, security_id, assumed, said_by))
    last_ticker, last_begins, said_by = dated[-1]
    for spell in own:
        if spell.valid_to is None and spell.ticker != last_ticker:
            spell.end((last_begins or on) - DAY, said_by)


def _untangled(spells: Sequence[_Spell]) -> list[_Spell]:
    """One ticker's intervals without overlaps: what is known cuts what is assumed, a shorter assumed one a longer.

    Keys stay: an interval whose beginning another one takes over remains as an empty one (valid_to before valid_from).
    """
    far = date.max
    real = [spell for spell in spells if spell.valid_to is None or spell.valid_to >= spell.valid_from]
    assumed = sorted((s for s in real if s.assumed), key=lambda s: s.valid_to or far, reverse=True)
    painted: list[_Spell] = []
    for top in (*assumed, *sorted((s for s in real if not s.assumed), key=lambda s: s.valid_from)):
        end = top.valid_to or far
        kept: list[_Spell] = []
        for below in painted:
            below_end = below.valid_to or far
            if below.security_id == top.security_id or below_end < top.valid_from or end < below.valid_from:
                kept.append(below)
                continue
            if below.valid_from < top.valid_from:
                kept.append(replace(below, valid_to=top.valid_from - DAY, landing_id=_later(below, top)))
            if end < below_end:
                kept.append(replace(below, valid_from=end + DAY, assumed=True, landing_id=_later(below, top)))
        painted = [*kept, top]
    keys = {spell.valid_from for spell in painted}
    newest = max((spell.landing_id or 0 for spell in spells), default=0) or None
    voided = [
        replace(spell, valid_to=spell.valid_from - DAY, landing_id=newest)
        for spell in spells
        if spell.valid_from not in keys and spell.valid_from != FIRST
    ]
    return sorted((*painted, *voided), key=lambda s: s.valid_from)


def _later(one: _Spell, other: _Spell) -> int | None:
    return max(one.landing_id or 0, other.landing_id or 0) or None


# Small things


def _tables(current: pl.DataFrame, ticker_history: pl.DataFrame) -> _Known:
    known = _Known()
    for row in current.select(list(SECURITIES)).sort("security_id").iter_rows(named=True):
        known.add(row)
    for row in ticker_history.select(list(TICKER_HISTORY)).sort("valid_from").iter_rows(named=True):
        known.add_spell(_Spell(**row))
    return known


def rows_of(frame: pl.DataFrame | None) -> Iterable[dict[str, Any]]:
    return () if frame is None else frame.iter_rows(named=True)


def frame_of(rows: Iterable[Mapping[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def _exchange(name: str | None) -> str | None:
    return EXCHANGES.get(name.lower(), name) if name else None


def _funds(supported: pl.DataFrame | None) -> dict[str, str]:
    """Types of the tickers that Tiingo's list has as funds only; it calls notes and preferreds Stock too."""
    if supported is None:
        return {}
    types = {"ETF": "ETF", "Mutual Fund": "FUND"}
    kinds = supported.group_by("ticker").agg(pl.col("asset_type").unique())
    return {ticker: types[of[0]] for ticker, of in kinds.iter_rows() if len(of) == 1 and of[0] in types}


def _first_days(supported: pl.DataFrame | None) -> dict[str, date]:
    if supported is None:
        return {}
    newest = supported.filter(
        (pl.col("asset_type") != "Mutual Fund") & pl.col("first_day").is_not_null() & pl.col("last_day").is_not_null()
    ).sort("last_day")
    return dict(zip(newest["ticker"], newest["first_day"], strict=True))
