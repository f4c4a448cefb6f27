"""Companies over time, and who is in an index: versions of companies, sectors, index members, matching by name.

In: submissions' attributes, index lists and the tables as they stand. Out: rows of companies and index_members without
lineage (companies keep the landing_id they are observed with). `on` is the New York day the answers were given.
"""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import date
from typing import Any

import polars as pl

from closingbell.universe.compute import COMPANIES, DAY, FIRST, INDEX_MEMBERS, LANDING, SCORED_TYPES, frame_of, rows_of
from closingbell.universe.parse import PROBLEMS
from closingbell.universe.sectors import sector_of_sic


def companies(observed: pl.DataFrame, current: pl.DataFrame, *, on: date) -> pl.DataFrame:
    """New versions of companies (COMPANIES), valid from `on`, only where an attribute changed against the newest one.

    observed: cik and any of the other columns; null means not said, and keeps what is known. The sector is chosen
    before, by `with_sectors`. A second run on one day gives the same key. landing_id, if observed has it, stays.
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
            versions.append({"cik": row["cik"], "valid_from": on, "landing_id": row.get("landing_id"), **merged})
    return frame_of(versions, COMPANIES | LANDING).sort("cik")


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
    return frame_of(out, INDEX_MEMBERS).sort("security_id", "valid_from")


def match_members(
    rows: pl.DataFrame, securities: pl.DataFrame, ticker_history: pl.DataFrame, *, on: date
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows with `security_id`, problems): a list's rows by ticker valid on `on`, else by CIK, else by company name.

    rows: any of ticker, cik, name. A ticker whose security has another CIK than the row is a problem `disagreeing`, and
    taken as `_means` says. CIK and name lead to the company's first share class. Names are compared as `plain_name`;
    one that fits several companies fits none. What nothing matches is a problem `unmatched`.
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
    living = {security_id: row for security_id, row in scored.items() if row["last_session"] is None}
    listed = {living[security_id]["cik"] for security_id in bears.values() if security_id in living}
    ended = {row["cik"] for row in scored.values()} - {row["cik"] for row in living.values()}
    by_cik: dict[int, int] = {}
    by_name: dict[str, set[int]] = {}
    by_looser_name: dict[str, set[int]] = {}
    for security_id, row in living.items():
        if row["cik"] is None:
            continue
        by_cik.setdefault(row["cik"], security_id)
        by_name.setdefault(plain_name(row["name"]), set()).add(by_cik[row["cik"]])
        by_looser_name.setdefault(plain_name(row["name"], groups=True), set()).add(by_cik[row["cik"]])
    matched, problems = [], []
    for number, row in enumerate(rows.iter_rows(named=True)):
        cik, name = row.get("cik"), row.get("name") or ""
        security_id = bears.get(row.get("ticker") or "")
        bearer = scored.get(security_id or 0, {})
        if not _means(row, bearer.get("cik"), bearer.get("name"), listed, ended):
            security_id = None
        if security_id is None and cik:
            security_id = by_cik.get(cik)
        if cik and bearer.get("cik") not in (None, cik):
            taken = f"taken as security {security_id}" if security_id else "not taken"
            problems.append(
                {
                    "problem": "disagreeing",
                    "key": str(row["ticker"]),
                    "detail": f"{name!r} has CIK {cik} in the list, the ticker is {bearer['name']!r}, CIK "
                    f"{bearer['cik']}, here: {taken}",
                }
            )
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


def match_companies(rows: pl.DataFrame, listings: pl.DataFrame) -> pl.DataFrame:
    """A list's rows with `cik`, of the listing (compute.LISTINGS) that each matches as `match_members` says."""
    listed = listings.with_columns(pl.int_range(1, pl.len() + 1).alias("security_id"), last_session="delisted_on")
    active = listed.filter(pl.col("delisted_on").is_null()).select("ticker", "security_id")
    bears = active.with_columns(valid_from=pl.lit(FIRST), valid_to=pl.lit(None, pl.Date))
    matched, _ = match_members(rows, listed, bears, on=FIRST)
    return matched.drop("cik", strict=False).join(listed.select("security_id", "cik"), on="security_id")


def with_listed_ciks(rows: pl.DataFrame, listings: pl.DataFrame) -> pl.DataFrame:
    """A list's rows (ticker, cik, name) with the CIK of the listing (compute.LISTINGS) that their ticker means."""
    active = listings.filter(pl.col("delisted_on").is_null())
    bears = {row["ticker"]: row for row in active.iter_rows(named=True)}
    listed = set(active["cik"])
    ended = set(listings["cik"]) - listed
    ciks = []
    for row in rows.iter_rows(named=True):
        bearer = bears.get(row["ticker"] or "", {})
        means = _means(row, bearer.get("cik"), bearer.get("name"), listed, ended)
        ciks.append(bearer.get("cik") or row["cik"] if means else row["cik"])
    return rows.with_columns(pl.Series("cik", ciks, dtype=pl.Int64))


def _means(
    row: dict[str, Any], cik: int | None, name: str | None, listed: Container[int | None], ended: Container[int | None]
) -> bool:
    """Whether a list's row means the company (cik, name) that bears its ticker.

    Not where the row's CIK is listed under another ticker, or is of a company that is gone and had another name: the
    ticker was re-used. A CIK that no listing has is another entity of the same company (ExxonMobil's 2115436 beside
    SEC's 34088).
    """
    if row.get("cik") is None or cik is None or row["cik"] == cik:
        return True
    same_name = plain_name(row.get("name") or "") == plain_name(name or "")
    return row["cik"] not in listed and (row["cik"] not in ended or same_name)


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


def _sectors(frame: pl.DataFrame | None) -> dict[int, str]:
    return {row["cik"]: row["sector"] for row in rows_of(frame) if row["cik"] is not None and row["sector"]}
