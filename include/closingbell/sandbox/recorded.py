"""The vendors' recorded answers, from a folder laid out as the recordings are; folders that are missing are fine.

In: gzipped or plain files under data.sec.gov/, www.sec.gov/, prices/stocks/ and reference/. Out: the methods of the
simulated market, so that the server plays either. SEC's files go out untouched. `prices/stocks/TICKER.csv[.gz]`
(Date,Open,High,Low,Close,Volume,OpenInt; adjusted for splits and dividends as of their last date) become Polygon's
grouped daily bars, which say "adjusted": true. Reference tickers are made from those and SEC's lists.
A method returns None where the vendor would not know the key.
"""

from __future__ import annotations

import gzip
import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import polars as pl

from closingbell.sessions import NEW_YORK

PRICES = {"Date": pl.Date, **dict.fromkeys(("Open", "High", "Low", "Close", "Volume", "OpenInt"), pl.Float64)}
LISTED_DAYS = 7
"""A ticker whose bars stopped longer ago than this counts as delisted."""
EXCHANGES = {"Nasdaq": "XNAS", "NYSE": "XNYS", "CBOE": "BATS"}


class Recorded:
    """A folder of recordings as a market. Reads lazily, keeps prices (columns, not objects) once they are asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"--recordings {self.folder}: no such folder")
        self._facts = self.folder / "data.sec.gov/api/xbrl/companyfacts"
        self._submissions = self.folder / "data.sec.gov/submissions"
        self._merged = self.folder / "data.sec.gov/submissions_merged"

    # -- Benzinga, of which there are no recordings

    def benzinga_ratings(self, *asked: Any) -> list[dict[str, Any]]:
        """No ratings."""
        return []

    def benzinga_removed(self, *asked: Any) -> list[dict[str, Any]]:
        """No removals."""
        return []

    # -- what the server says of itself ------------------------------------------------------------------------

    @cached_property
    def ciks(self) -> list[int]:
        """Companies with recorded facts or submissions."""
        names = [p.name for f in (self._facts, self._submissions, self._merged) if f.is_dir() for p in f.iterdir()]
        return sorted({int(m[1]) for name in names if (m := re.match(r"CIK(\d{10})\.json", name))})

    @property
    def first_session(self) -> date | None:
        """The first day of the recorded prices; None without any."""
        return self._bars["Date"].item(0) if self._bars.height else None

    @property
    def last_session(self) -> date | None:
        """The last day of the recorded prices; None without any."""
        return self._bars["Date"].item(-1) if self._bars.height else None

    @property
    def default_clock(self) -> datetime:
        """18:05 New York on the evening of the last session; now, where no prices are recorded."""
        if self.last_session is None:
            return datetime.now(UTC)
        return datetime.combine(self.last_session, time(18, 5), NEW_YORK).astimezone(UTC)

    # -- SEC ------------------------------------------------------------------------------------------------------

    def company_tickers(self, now: datetime) -> bytes | None:
        return _read(self.folder / "www.sec.gov/files/company_tickers.json")

    def submissions(self, cik: int, now: datetime) -> bytes | None:
        name = f"CIK{cik:010d}.json"
        raw = _read(self._submissions / name)
        return raw if raw is not None else _read(self._merged / name)

    def submissions_page(self, name: str, now: datetime) -> bytes | None:
        """The recorded page, else the same rows out of the merged history of the filer, where that is there."""
        raw = _read(self._submissions / name)
        return raw if raw is not None else self._page_of_merged(name)

    def companyfacts(self, cik: int, now: datetime) -> bytes | None:
        return _read(self._facts / f"CIK{cik:010d}.json")

    def daily_index(self, day: date, now: datetime) -> bytes | None:
        """The recorded index, else one of the recorded ownership documents that were filed that day."""
        from closingbell.sandbox.simulated.sec import daily_index

        if path := self._indices.get(f"{day:%Y%m%d}"):
            return _read(path)
        filed = self._ownership_of_day.get(f"{day:%Y%m%d}")
        return daily_index(day, filed).encode() if filed and day <= now.astimezone(NEW_YORK).date() else None

    def getcurrent(self, form: str, start: int, count: int, now: datetime) -> bytes | None:
        """The recorded page of that number; one without entries behind the last, and before the page's filings."""
        folder = self.folder / "www.sec.gov/cgi-bin/browse-edgar"
        body = _read(folder / f"type{form}_count{count}_start{start:04d}.atom.xml") or b""
        accepted = [_at(found.decode()) for found in re.findall(rb"<updated>([^<]+)</updated>", body)]
        if accepted and min(accepted) <= now:
            return body
        return b'<?xml version="1.0"?>\n<feed xmlns="http://www.w3.org/2005/Atom"></feed>\n'

    def ownership(self, accession_no: str, now: datetime) -> bytes | None:
        """A recorded submission, else the recorded document with its header before it, as in EDGAR's own files."""
        folder = self.folder / "www.sec.gov/ownership"
        raw = _read(folder / f"{accession_no}.txt") or _read(folder / f"{accession_no}.nc")
        document, header = (_read(folder / f"{accession_no}{suffix}") for suffix in (".xml", ".metadata.json"))
        if raw or not document or not header:
            return raw
        fields = msgspec.json.decode(header)["submission"]
        names = ("ACCESSION-NUMBER", "TYPE", "FILING-DATE", "ACCEPTANCE-DATETIME")
        tags = "".join(f"<{name}>{fields[name]}\n" for name in names if name in fields)
        return (
            f"<SUBMISSION>\n{tags}<DOCUMENT>\n<XML>\n".encode() + document + b"\n</XML>\n</DOCUMENT>\n</SUBMISSION>\n"
        )

    # -- Form 13F: the recorded filings, in data sets -------------------------------------------------------------

    @cached_property
    def _form13f(self) -> dict[str, tuple[date, date, bytes]]:
        from closingbell.sandbox import recorded_form13f

        schema = self.folder / "www.sec.gov/form13f_dataset_schema/FORM13F_metadata.json"
        return recorded_form13f.data_sets(self.folder / "www.sec.gov/form13f", schema) if schema.is_file() else {}

    def form13f_sets(self, now: datetime) -> str | None:
        links = [
            f'<a href="/files/structureddata/data/form-13f-data-sets/{name}_form13f.zip">' for name in self._form13f
        ]
        return f"<!DOCTYPE html>\n<html><body>{''.join(links)}</body></html>\n" if links else None

    @property
    def quarters(self) -> list[str]:
        """Of whose reports those data sets are, as 2024Q3."""
        from closingbell.institutions.catalog import last_quarters

        ends = sorted({last_quarters(last, 1)[0] for _, last, _ in self._form13f.values()})
        return [f"{end.year}Q{end.month // 3}" for end in ends]

    def form13f_set(self, name: str, now: datetime) -> bytes | None:
        return self._form13f[name][2] if name in self._form13f else None

    def form13f_filing(self, accession_no: str, now: datetime) -> None:
        return None

    def fails_to_deliver_files(self, now: datetime) -> None:
        return None

    def fails_to_deliver(self, name: str, now: datetime) -> None:
        return None

    # -- Polygon ------------------------------------------------------------------------------------------------

    def grouped_daily(self, session: date, now: datetime) -> dict[str, Any]:
        """Every recorded bar of that day; `t` is 16:00 New York in ms, as the vendor stamps its day bars."""
        first, last = self._rows_of_day.get(session, (0, 0))
        stamp = int(datetime.combine(session, time(16), NEW_YORK).timestamp() * 1000)
        rows = [
            {"T": ticker, "v": v, "o": o, "c": c, "h": h, "l": low, "t": stamp}
            for ticker, v, o, c, h, low in self._bars[first:last]
            .select("ticker", "Volume", "Open", "Close", "High", "Low")
            .iter_rows()
        ]
        return {"adjusted": True, "results": rows}

    def polygon_tickers(self, active: bool, now: datetime) -> list[dict[str, Any]]:
        """Every ticker with bars by then; inactive where its bars stopped a week before the last recorded day."""
        today = now.astimezone(NEW_YORK).date()
        market_last = min(self.last_session or today, today)
        rows = []
        for ticker, first, last in self._spans.iter_rows():
            listed = last >= market_last - timedelta(days=LISTED_DAYS)
            if first > today or listed != active:
                continue
            row = self._reference(ticker) | {"active": active}
            if not active:
                row["delisted_utc"] = f"{last}T00:00:00Z"
            rows.append(row | {"last_updated_utc": f"{market_last}T00:00:00Z"})
        return rows

    def polygon_splits(self, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """None: the recorded bars have every split in them."""
        return []

    def polygon_dividends(self, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """None: the recorded bars have every dividend in them."""
        return []

    def ticker_details(self, ticker: str, day: date, now: datetime) -> dict[str, Any] | None:
        span = self._span_of.get(ticker)
        if span is None or span[0] > day:
            return None
        active = span[1] >= min(self.last_session or day, day) - timedelta(days=LISTED_DAYS)
        return self._reference(ticker) | {"active": active, "list_date": span[0].isoformat()}

    def ticker_events(self, ticker: str, now: datetime) -> dict[str, Any] | None:
        span = self._span_of.get(ticker)
        if span is None:
            return None
        event = {"ticker_change": {"ticker": ticker}, "type": "ticker_change", "date": span[0].isoformat()}
        return {"name": self._reference(ticker)["name"], "events": [event]}

    # -- Tiingo and Yahoo: not recorded by ticker -----------------------------------------------------------------

    def tiingo_prices(self, ticker: str, first: date, last: date, now: datetime) -> None:
        return None

    def tiingo_daily_all(self, now: datetime) -> list[dict[str, Any]]:
        return []

    def tiingo_supported(self, now: datetime) -> None:
        return None

    def yahoo_chart(self, ticker: str, first: date, last: date, now: datetime) -> None:
        return None

    # -- news -----------------------------------------------------------------------------------------------------

    def polygon_news(
        self, first: datetime, last: datetime | None, ticker: str | None, now: datetime
    ) -> list[dict[str, Any]]:
        """The recorded stories of that time, oldest first."""
        rows = self._stories("polygon/client_python_mocks/v2/reference", "news*", "results")
        shown = [
            row
            for row in rows
            if first <= _at(row["published_utc"]) <= now
            and (last is None or _at(row["published_utc"]) < last)
            and (ticker is None or ticker in row["tickers"])
        ]
        return sorted(shown, key=lambda row: row["published_utc"])

    def tiingo_news(self, first: date, last: date, tickers: list[str], now: datetime) -> list[dict[str, Any]]:
        """The recorded stories of those days, newest first."""
        rows = self._stories("tiingo/python_client_vcr", "news*", "")
        shown = [
            row
            for row in rows
            if first <= _at(row["publishedDate"]).date() <= last
            and _at(row["publishedDate"]) <= now
            and (not tickers or {name.upper() for name in row["tickers"]} & set(tickers))
        ]
        return sorted(shown, key=lambda row: row["publishedDate"], reverse=True)

    def marketaux_news(self, symbol: str, after: datetime, now: datetime) -> list[dict[str, Any]]:
        """None is recorded."""
        return []

    def web_page(self, host: str, path: str, now: datetime) -> None:
        return None

    def gemini_answer(self, body: bytes, model: str) -> None:
        return None

    def _stories(self, folder: str, pattern: str, column: str) -> list[dict[str, Any]]:
        """Stories of the recorded bodies, each once; a body that is an error has none."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted((self.folder / folder).glob(pattern)):
            body = msgspec.json.decode(_read(path) or b"null")
            rows = body.get(column) if column and isinstance(body, dict) else body
            for row in rows if isinstance(rows, list) else ():
                if isinstance(row, dict) and "title" in row:
                    found[str(row["id"])] = row
        return list(found.values())

    # -- reference ------------------------------------------------------------------------------------------------

    def sp500_csv(self, now: datetime) -> bytes | None:
        return _read(self.folder / "reference/sp500_constituents.csv")

    def fortune500_csv(self) -> bytes | None:
        found = sorted((self.folder / "reference").glob("fortune500*.csv*"))
        return _read(found[0]) if found else None

    # -- indices of the folder ------------------------------------------------------------------------------------

    @cached_property
    def _indices(self) -> dict[str, Path]:
        root = self.folder / "www.sec.gov/Archives/edgar/daily-index"
        return {m[1]: p for p in root.rglob("form.*") if (m := re.match(r"form\.(\d{8})\.idx", p.name))}

    @cached_property
    def _ownership_of_day(self) -> dict[str, list[tuple[Any, Any]]]:
        """Issuer (name, cik) and filing (form, accession_no) of the recorded headers, by day of filing (YYYYMMDD)."""
        found: dict[str, list[tuple[Any, Any]]] = {}
        for path in sorted((self.folder / "www.sec.gov/ownership").glob("*.metadata.json*")):
            header = msgspec.json.decode(_read(path) or b"null")["submission"]
            for issuer in header.get("ISSUER", [])[:1]:
                of = issuer["COMPANY-DATA"]
                company = SimpleNamespace(name=of["CONFORMED-NAME"], cik=int(of["CIK"]))
                filing = SimpleNamespace(form=header["TYPE"], accession_no=header["ACCESSION-NUMBER"])
                found.setdefault(header["FILING-DATE"], []).append((company, filing))
        return found

    @cached_property
    def _bars(self) -> pl.DataFrame:
        """All recorded bars by day, then ticker: Date, ticker, Open, High, Low, Close, Volume."""
        folder = self.folder / "prices/stocks"
        files = sorted(p for p in folder.glob("*") if re.search(r"\.(csv|txt)(\.gz)?$", p.name))
        if not files:
            return pl.DataFrame(schema={"Date": pl.Date, "ticker": pl.Categorical})
        names = pl.DataFrame({"path": [str(p) for p in files], "ticker": [_ticker(p) for p in files]})
        return (
            pl.scan_csv(files, schema=PRICES, include_file_paths="path")
            .select(pl.exclude("OpenInt"))
            .drop_nulls(["Date", "Close"])
            .join(names.lazy(), on="path", maintain_order="left")
            .drop("path")
            .with_columns(pl.col("ticker").cast(pl.Categorical))
            .sort("Date", maintain_order=True)
            .collect()
        )

    @cached_property
    def _rows_of_day(self) -> dict[date, tuple[int, int]]:
        if not self._bars.height:
            return {}
        counts = self._bars.select(pl.col("Date").rle()).unnest("Date")
        ends = counts["len"].cum_sum()
        return dict(zip(counts["value"], zip(ends - counts["len"], ends, strict=True), strict=True))

    @cached_property
    def _spans(self) -> pl.DataFrame:
        """ticker, first day, last day; by ticker."""
        if not self._bars.height:
            return pl.DataFrame(schema={"ticker": pl.String, "first": pl.Date, "last": pl.Date})
        day = pl.col("Date")
        return (
            self._bars.group_by(pl.col("ticker").cast(pl.String))
            .agg(day.min().alias("first"), day.max().alias("last"))
            .sort("ticker")
        )

    @cached_property
    def _span_of(self) -> dict[str, tuple[date, date]]:
        return {ticker: (first, last) for ticker, first, last in self._spans.iter_rows()}

    def _reference(self, ticker: str) -> dict[str, Any]:
        cik, name = self._companies.get(ticker, (None, ticker))
        row: dict[str, Any] = {
            "ticker": ticker,
            "name": name,
            "market": "stocks",
            "locale": "us",
            "type": "CS",
            "currency_name": "usd",
        }
        if cik:
            row["cik"] = f"{cik:010d}"
            if exchange := self._exchange(cik, ticker):
                row["primary_exchange"] = exchange
        return row

    @cached_property
    def _companies(self) -> dict[str, tuple[int, str]]:
        """Ticker in Polygon's spelling -> (CIK, name), from SEC's lists, the newest last, and the constituents."""
        found: dict[str, tuple[int, str]] = {}
        for name in ("company_tickers_older.json", "company_tickers.json"):
            body = _read(self.folder / "www.sec.gov/files" / name)
            for row in msgspec.json.decode(body).values() if body else ():
                found[row["ticker"].upper().replace("-", ".")] = (int(row["cik_str"]), row["title"])
        if body := self.sp500_csv(datetime.now(UTC)):
            for row in pl.read_csv(body, infer_schema=False).iter_rows(named=True):
                found.setdefault(row["Symbol"], (int(row["CIK"]), row["Security"]))
        return found

    def _exchange(self, cik: int, ticker: str) -> str | None:
        body = self.submissions(cik, datetime.now(UTC))
        if not body:
            return None
        filer = msgspec.json.decode(body, type=_Filer)
        listed = dict(zip([t.replace("-", ".") for t in filer.tickers], filer.exchanges, strict=False))
        return EXCHANGES.get(listed.get(ticker) or "")

    def _page_of_merged(self, name: str) -> bytes | None:
        match = re.fullmatch(r"CIK(\d{10})-submissions-\d{3,}\.json", name)
        merged = _read(self._merged / f"CIK{match[1]}.json") if match else None
        raw = _read(self._submissions / f"CIK{match[1]}.json") if match else None
        if not merged or not raw:
            return None
        pages = [p for p in msgspec.json.decode(raw)["filings"]["files"] if p["name"] == name]
        if not pages:
            return None
        columns = msgspec.json.decode(merged)["filings"]["recent"]
        known = set(msgspec.json.decode(raw)["filings"]["recent"]["accessionNumber"])
        keep = [
            row
            for row, (filed, accession) in enumerate(
                zip(columns["filingDate"], columns["accessionNumber"], strict=True)
            )
            if pages[0]["filingFrom"] <= filed <= pages[0]["filingTo"] and accession not in known
        ]
        return msgspec.json.encode({column: [values[row] for row in keep] for column, values in columns.items()})


class _Filer(msgspec.Struct):
    tickers: list[str] = []
    exchanges: list[str | None] = []


def _ticker(path: Path) -> str:
    """AAPL.csv.gz, brk-b.us.txt -> AAPL, BRK.B (Polygon writes classes with a dot)."""
    name = re.sub(r"(\.us)?\.(csv|txt)(\.gz)?$", "", path.name, flags=re.I)
    return name.upper().replace("-", ".")


def _at(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read(path: Path) -> bytes | None:
    """The file, or its gzipped sibling unpacked; None where neither is there."""
    if path.is_file():
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    packed = path.with_name(path.name + ".gz")
    return gzip.decompress(packed.read_bytes()) if packed.is_file() else None
