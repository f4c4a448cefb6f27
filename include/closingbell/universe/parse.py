"""Vendors' raw reference answers to frames: who is listed, under which ticker, in which sector and index.

In: the untouched bytes of one answer. Out: one frame without lineage (fortune500: with problems). Tickers come out in
the house spelling (`tickers`), CIKs as Int64, dates as days in New York. Sources: SEC's company_tickers.json and
company_tickers_exchange.json ("Accessing EDGAR Data"), Polygon's REST reference (tickers, ticker details, ticker
events), Tiingo's supported_tickers.zip, the S&P 500 constituents table (Symbol, Security, GICS Sector, ...), the
operator's files. A missing or unknown column is a ValueError naming vendor, endpoint and column.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from closingbell.sessions import NEW_YORK
from closingbell.shapes import parser
from closingbell.universe.sectors import gics_sector
from closingbell.universe.tickers import normal_ticker, normal_tickers

COMPANY_TICKERS: dict[str, Any] = {"cik": pl.Int64, "ticker": pl.String, "name": pl.String, "exchange": pl.String}
POLYGON_TICKERS: dict[str, Any] = {
    "ticker": pl.String,
    "name": pl.String,
    "cik": pl.Int64,
    "figi": pl.String,
    "type": pl.String,
    "exchange": pl.String,
    "active": pl.Boolean,
    "delisted_on": pl.Date,
}
TICKER_EVENTS: dict[str, Any] = {
    "figi": pl.String,
    "cik": pl.Int64,
    "name": pl.String,
    "ticker": pl.String,
    "valid_from": pl.Date,
}
TICKER_DETAILS: dict[str, Any] = {
    **POLYGON_TICKERS,
    "listed_on": pl.Date,
    "sic": pl.Int32,
    "sic_description": pl.String,
    "class_shares": pl.Float64,
    "all_shares": pl.Float64,
    "details_on": pl.Date,
}
SUPPORTED_TICKERS: dict[str, Any] = {
    "ticker": pl.String,
    "exchange": pl.String,
    "asset_type": pl.String,
    "currency": pl.String,
    "first_day": pl.Date,
    "last_day": pl.Date,
}
SP500: dict[str, Any] = {
    "ticker": pl.String,
    "name": pl.String,
    "sector": pl.String,
    "cik": pl.Int64,
    "added_on": pl.Date,
}
FORTUNE500: dict[str, Any] = {"rank": pl.Int32, "name": pl.String, "ticker": pl.String, "sector": pl.String}
STOCKS: dict[str, Any] = {"ticker": pl.String, "name": pl.String, "cik": pl.Int64, "sector": pl.String}
PROBLEMS: dict[str, Any] = {"problem": pl.String, "key": pl.String, "detail": pl.String}

FORTUNE500_COLUMNS = {
    "rank": ("rank", "fortune500rank", "ranking", "position"),
    "name": ("name", "company", "companyname", "title", "organization"),
    "ticker": ("symbol", "ticker", "stocksymbol", "tickersymbol"),
    "sector": ("sector", "gicssector"),
}
MAX_MEMBER = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ranked:
    """The operator's list: `rows` (FORTUNE500) and `problems` (PROBLEMS: ranks missing, twice or beyond 500)."""

    rows: pl.DataFrame
    problems: pl.DataFrame


@parser("sec_edgar company_tickers")
def company_tickers(body: bytes) -> pl.DataFrame:
    """COMPANY_TICKERS of SEC's list: {"0": {cik_str, ticker, title}, ...}, or {"fields": [...], "data": [[...]]}."""
    where = "sec_edgar company_tickers"
    answer = _object(body, where)
    if "fields" in answer:
        names = {"cik": "cik", "name": "name", "ticker": "ticker", "exchange": "exchange"}
        _columns(where, answer["fields"], required={"cik", "name", "ticker"}, known={"exchange"})
        rows = [dict(zip(answer["fields"], values, strict=True)) for values in answer["data"]]
    else:
        names = {"cik": "cik_str", "name": "title", "ticker": "ticker", "exchange": "exchange"}
        rows = list(answer.values())
        for row in rows:
            if not isinstance(row, dict) or row.keys() != {"cik_str", "ticker", "title"}:
                _columns(
                    where, row if isinstance(row, dict) else (), required={"cik_str", "ticker", "title"}, known=set()
                )
    if not rows:
        raise ValueError(f"{where}: no companies at all; the body is cut or empty: fetch it again")
    values = {
        "cik": [int(row[names["cik"]]) for row in rows],
        "ticker": [normal_ticker(row["ticker"]) for row in rows],
        "name": [row[names["name"]].strip() for row in rows],
        "exchange": [row.get("exchange") for row in rows],
    }
    return pl.DataFrame(values, schema=COMPANY_TICKERS).unique("ticker", keep="first", maintain_order=True)


@parser("polygon tickers")
def polygon_tickers(body: bytes) -> pl.DataFrame:
    """POLYGON_TICKERS of one page of `/v3/reference/tickers`, US stocks only (market "stocks", locale "us")."""
    where = "polygon tickers"
    answer = _object(body, where)
    if "results" not in answer and answer.get("status") != "OK":
        raise ValueError(f"{where}: column results is missing and status is {answer.get('status')!r}")
    rows = [row for row in answer.get("results") or [] if _is_us_stock(row, where)]
    return pl.DataFrame([_polygon_listing(row) for row in rows], schema=POLYGON_TICKERS)


@parser("polygon ticker_details")
def ticker_details(body: bytes, *, on: date) -> pl.DataFrame:
    """TICKER_DETAILS, one row, of `/v3/reference/tickers/{ticker}?date={on}`.

    class_shares: outstanding shares of this class; all_shares: those of the company if every other class were converted
    into this one (Polygon's weighted_shares_outstanding).
    """
    where = "polygon ticker_details"
    row = _object(body, where).get("results")
    if not isinstance(row, dict):
        raise ValueError(f"{where}: column results is missing")
    if not _is_us_stock(row, where):
        return pl.DataFrame(schema=TICKER_DETAILS)
    details = {
        **_polygon_listing(row),
        "listed_on": _date(row.get("list_date")),
        "sic": int(row["sic_code"]) if str(row.get("sic_code") or "").isdigit() else None,
        "sic_description": row.get("sic_description"),
        "class_shares": row.get("share_class_shares_outstanding"),
        "all_shares": row.get("weighted_shares_outstanding"),
        "details_on": on,
    }
    return pl.DataFrame([details], schema=TICKER_DETAILS)


@parser("polygon ticker_events")
def ticker_events(body: bytes) -> pl.DataFrame:
    """TICKER_EVENTS of `/vX/reference/tickers/{ticker}/events`: the tickers of one security, oldest first."""
    where = "polygon ticker_events"
    results = _object(body, where).get("results")
    if not isinstance(results, dict) or "events" not in results:
        raise ValueError(f"{where}: column results.events is missing")
    rows = [
        {
            "figi": results.get("composite_figi"),
            "cik": _cik(results.get("cik")),
            "name": results.get("name"),
            "ticker": normal_ticker(event["ticker_change"]["ticker"]),
            "valid_from": date.fromisoformat(event["date"]),
        }
        for event in results["events"]
        if event.get("type") == "ticker_change"
    ]
    return pl.DataFrame(rows, schema=TICKER_EVENTS).sort("valid_from")


@parser("tiingo supported_tickers")
def supported_tickers(body: bytes) -> pl.DataFrame:
    """SUPPORTED_TICKERS of Tiingo's zip (or the CSV in it): USD listings with their first and last day of prices."""
    where = "tiingo supported_tickers"
    if body[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".csv")]
            if len(members) != 1 or members[0].file_size > MAX_MEMBER:
                raise ValueError(f"{where}: one CSV of at most {MAX_MEMBER >> 20} MiB was expected in the zip")
            with archive.open(members[0]) as member:
                body = member.read(MAX_MEMBER)
    header = ("ticker", "exchange", "assetType", "priceCurrency", "startDate", "endDate")
    frame = _csv(body, where, required=set(header), known=set())
    return (
        frame.filter((pl.col("priceCurrency") == "USD") & pl.col("ticker").is_not_null())
        .select(
            normal_tickers(frame.filter((pl.col("priceCurrency") == "USD") & pl.col("ticker").is_not_null())["ticker"]),
            "exchange",
            pl.col("assetType").alias("asset_type"),
            pl.col("priceCurrency").alias("currency"),
            pl.col("startDate").str.to_date(strict=False).alias("first_day"),
            pl.col("endDate").str.to_date(strict=False).alias("last_day"),
        )
        .select(list(SUPPORTED_TICKERS))
    )


@parser("reference sp500")
def sp500(body: bytes) -> pl.DataFrame:
    """SP500 of the constituents CSV; a sector that is none of the eleven is an error."""
    where = "reference sp500"
    frame = _csv(
        body,
        where,
        required={"Symbol", "Security", "GICS Sector", "CIK", "Date added"},
        known={"GICS Sub-Industry", "Headquarters Location", "Founded"},
    )
    if frame.is_empty():
        raise ValueError(f"{where}: no members at all; fetch it again")
    sectors = [gics_sector(name) for name in frame["GICS Sector"]]
    if None in sectors:
        raise ValueError(
            f"{where}: column GICS Sector has {frame['GICS Sector'][sectors.index(None)]!r}, no GICS sector"
        )
    return frame.select(
        normal_tickers(frame["Symbol"]).alias("ticker"),
        pl.col("Security").alias("name"),
        pl.Series("sector", sectors, dtype=pl.String),
        pl.col("CIK").cast(pl.Int64).alias("cik"),
        pl.col("Date added").str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).alias("added_on"),
    )


@parser("operator fortune500")
def fortune500(body: bytes) -> Ranked:
    """The operator's Fortune 500 CSV: rank and name in any of the header spellings above, symbol and sector if there.

    500 rows with ranks 1 to 500 are expected; which are missing, twice or beyond is listed, and a rank that two
    rows claim is kept for both, as Fortune ranks ties.
    """
    where = "operator fortune500"
    frame = _csv(body, where)
    spelled = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in frame.columns}
    columns = {
        field: next((spelled[name] for name in names if name in spelled), None)
        for field, names in FORTUNE500_COLUMNS.items()
    }
    for field in ("rank", "name"):
        if columns[field] is None:
            raise ValueError(
                f"{where}: column {field} is missing (spelled {', '.join(FORTUNE500_COLUMNS[field])}, any case); "
                f"the file has {frame.columns}"
            )
    rows: list[dict[str, Any]] = []
    problems: list[dict[str, str]] = []
    for number, row in enumerate(frame.iter_rows(named=True), 2):
        rank = re.sub(r"[^\d]", "", (row[columns["rank"]] or "").split(".")[0])  # type: ignore[index]
        name = (row[columns["name"]] or "").strip()  # type: ignore[index]
        if not rank or not name:
            problems.append(_problem("no_rank", f"line {number}", f"rank {rank!r} and name {name!r} are both needed"))
            continue
        ticker = (row[columns["ticker"]] or "").strip() if columns["ticker"] else ""
        sector = gics_sector(row[columns["sector"]]) if columns["sector"] else None
        if columns["sector"] and row[columns["sector"]] and sector is None:
            detail = f"{row[columns['sector']]!r} is no GICS sector; left out"
            problems.append(_problem("unknown_sector", name, detail))
        rows.append({"rank": int(rank), "name": name, "ticker": normal_ticker(ticker) or None, "sector": sector})
    ranks = [row["rank"] for row in rows]
    if missing := sorted(set(range(1, 501)) - set(ranks)):
        problems.append(_problem("missing_ranks", "fortune500", f"{len(missing)} of 500: {_ranges(missing)}"))
    if twice := sorted({rank for rank in ranks if ranks.count(rank) > 1}):
        problems.append(_problem("repeated_ranks", "fortune500", f"claimed more than once: {_ranges(twice)}"))
    if beyond := sorted({rank for rank in ranks if not 1 <= rank <= 500}):
        problems.append(_problem("beyond_500", "fortune500", f"no ranks of a list of 500, left out: {_ranges(beyond)}"))
    kept = [row for row in rows if 1 <= row["rank"] <= 500]
    return Ranked(pl.DataFrame(kept, schema=FORTUNE500).sort("rank"), pl.DataFrame(problems, schema=PROBLEMS))


@parser("operator stocks")
def stocks(frame: pl.DataFrame) -> pl.DataFrame:
    """STOCKS of the operator's own table (symbol, name, cik, sector; names in any case); an unknown sector is null."""
    where = "operator stocks"
    lower = frame.rename({name: name.lower() for name in frame.columns})
    _columns(where, lower.columns, required={"symbol", "name"}, known=set(lower.columns))
    lower = lower.filter(pl.col("symbol").is_not_null() & (pl.col("symbol").cast(pl.String).str.strip_chars() != ""))
    ciks = lower["cik"].cast(pl.String) if "cik" in lower.columns else pl.Series([None] * lower.height, dtype=pl.String)
    sectors = lower["sector"] if "sector" in lower.columns else pl.Series([None] * lower.height, dtype=pl.String)
    return lower.select(
        normal_tickers(lower["symbol"].cast(pl.String)).alias("ticker"),
        pl.col("name").cast(pl.String),
        ciks.str.extract(r"(\d+)").cast(pl.Int64).alias("cik"),
        pl.Series("sector", [gics_sector(sector) for sector in sectors], dtype=pl.String),
    ).unique("ticker", keep="first", maintain_order=True)


def _polygon_listing(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "ticker": normal_ticker(row["ticker"]),
        "name": row["name"],
        "cik": _cik(row.get("cik")),
        "figi": row.get("composite_figi") or row.get("share_class_figi"),
        "type": row.get("type"),
        "exchange": row.get("primary_exchange"),
        "active": row.get("active", True),
        "delisted_on": _date(row.get("delisted_utc")),
    }


def _is_us_stock(row: dict[str, Any], where: str) -> bool:
    _columns(where, row, required={"ticker", "name", "market", "locale"}, known=set(row))
    return row["market"] == "stocks" and row["locale"] == "us"


def _cik(text: Any) -> int | None:
    return int(text) if str(text or "").strip().isdigit() and int(text) > 0 else None


def _date(text: str | None) -> date | None:
    """A day, or a moment as New York's day (delisted_utc is midnight UTC or New York after the last trade)."""
    if not text:
        return None
    if len(text) == 10:
        return date.fromisoformat(text)
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(NEW_YORK).date()


def _object(body: bytes, where: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise ValueError(f"{where}: the body is not JSON ({error}); it was cut or is an error page") from error
    if not isinstance(answer, dict):
        raise ValueError(f"{where}: a JSON object was expected, not a {type(answer).__name__}")
    return answer


def _columns(where: str, present: Iterable[str], *, required: set[str], known: set[str]) -> None:
    present = set(present)
    if missing := required - present:
        raise ValueError(f"{where}: column {', '.join(sorted(missing))} is missing; it has {sorted(present)}")
    if unknown := present - required - known:
        raise ValueError(f"{where}: column {', '.join(sorted(unknown))} is unknown; say in the parser what it means")


def _csv(body: bytes, where: str, *, required: set[str] | None = None, known: set[str] | None = None) -> pl.DataFrame:
    text = body.decode("utf-8-sig", "replace").encode()
    try:
        frame = pl.read_csv(io.BytesIO(text), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{where}: no readable CSV: {error}") from error
    if required is not None:
        _columns(where, frame.columns, required=required, known=known or set())
    return frame


def _problem(problem: str, key: str, detail: str) -> dict[str, str]:
    return {"problem": problem, "key": key, "detail": detail}


def _ranges(numbers: list[int]) -> str:
    """1, 4-6, 9."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)
