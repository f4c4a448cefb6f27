"""`--from-files`: answers somebody already has, landed as if the vendor had sent them.

In: files, folders and vendors' zips, plain or gzipped. Out: answers with the vendor and endpoint that the name and the
content show, and the file's own time: a row of an old file yields to what was fetched after it. A file that shows no
vendor is an error that lists what is understood.
"""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from closingbell import archives
from closingbell.edgar import is_submission
from closingbell.hooks.answer import Answer
from closingbell.institutions import catalog
from closingbell.pipelines import filing_files
from closingbell.universe.parse import FORTUNE500_COLUMNS

MAX_FILE = 512 * 1024 * 1024
MAX_JSON = 64 * 1024 * 1024  # of an answer whose name does not say what it is
SNIFFED = 4096
ZIP_START = 2**20  # of a zip, in which a bulk zip of SEC shows a company
BULK_MEMBER = re.compile(rb"PK\x03\x04.{4}(\0\0|\x08\0).{18}(..)[^\0]{0,99}?CIK\d{10}\.json", re.DOTALL)
"""A member's own header: how it is packed, the length of what stands between its name and its bytes."""
UNDERSTOOD = (
    "SEC companyfacts or submissions JSON (CIK##########.json), SEC's companyfacts.zip or submissions.zip, "
    "company_tickers.json, EDGAR form index (form.YYYYMMDD.idx), ownership documents (Forms 3, 4, 5: XML or full "
    "submission), data sets of Form 13F (*_form13f.zip), full submissions or cover page and information table as XML, "
    "fails-to-deliver files (cnsfails*), "
    "Polygon grouped daily, tickers, ticker details, ticker events, splits or dividends JSON, Polygon day "
    "aggregates CSV, Tiingo daily JSON (of one ticker or of all), Tiingo's supported_tickers zip or CSV, Yahoo "
    "chart JSON, daily bars CSV (Date,Open,High,Low,Close,Volume), index constituents CSV, news JSON of Polygon, "
    "Tiingo or Marketaux, FNSPID CSV, Fortune 500 CSV (rank and name), Benzinga's calendar of ratings (JSON or XML)"
)
INSTITUTIONS = ("form13f_set", "form13f_filing", "form13f_cover", "form13f_table", "fails_to_deliver")
"""Endpoints of the files that the loads of institutional holdings take, each its own."""
FILINGS = ("ownership", "form13f_filing", "form13f_cover", "form13f_table")
"""Endpoints whose answers are keyed by accession number."""
POLYGON_ROWS = {
    "tickers": {"ticker", "market", "locale"},
    "splits": {"execution_date", "split_from", "split_to"},
    "dividends": {"cash_amount", "ex_dividend_date"},
    "news": {"publisher", "article_url", "published_utc"},
}
"""Columns of a row of `results` that only this endpoint has."""
SUPPORTED_TICKERS = ["ticker", "exchange", "assettype", "pricecurrency", "startdate", "enddate"]


class UnknownFile(ValueError):
    """A file whose name and content show no vendor and endpoint."""


class TooLarge(UnknownFile):
    """A file that is more than is read of one."""


def find(paths: Iterable[str]) -> list[Path]:
    """Every file under the given files and folders, sorted; raises FileNotFoundError naming one that is absent."""
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"--from-files: {path} is not there")
        found += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [path for path in found if not path.name.startswith(".")]


def read(path: Path) -> Answer:
    """The file as an answer: `body` is its bytes, gunzipped, or the path of SEC's zip; raises UnknownFile.

    It was answered and fetched when the file was last written.
    """
    name = path.name.removesuffix(".gz")
    modified = min(datetime.fromtimestamp(path.stat().st_mtime, UTC), datetime.now(UTC))
    body: bytes | Path = path if name.endswith(".zip") else _read_bytes(path)
    vendor, endpoint, key = _recognise(name, path, body)
    if endpoint in ("supported_tickers", "fails_to_deliver"):
        body = _read_bytes(path)
    elif endpoint == "ticker_details":
        key = f"{key}@{modified.date()}"
    request: dict[str, Any] = {"method": "file", "path": path.name}
    if endpoint in FILINGS and isinstance(body, bytes):
        key, request["header"] = filing_files.identified(path, body)
    return Answer(
        vendor=vendor,
        endpoint=endpoint,
        key=key,
        request=request,
        body=body,
        content_type="application/zip" if isinstance(body, Path) else None,
        answered_at=modified,
        fetched_at=modified,
    )


def read_all(paths: Iterable[str], *, endpoints: Iterable[str]) -> Iterator[Answer]:
    """Answers of those `endpoints` among the files; a folder may hold others, a file named by itself may not."""
    wanted = set(endpoints)
    named = {str(Path(path)) for path in paths}
    for path in find(named):
        try:
            answer = read(path)
        except UnknownFile as error:
            if str(path) in named or isinstance(error, TooLarge):
                raise
            continue
        if answer.endpoint in wanted:
            yield answer
        elif str(path) in named:
            found = f"{answer.vendor} {answer.endpoint}"
            raise UnknownFile(f"{path}: {found} is not what this command loads: {sorted(wanted)}")


def _read_bytes(path: Path) -> bytes:
    with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
        body = file.read(MAX_FILE + 1)
    if len(body) > MAX_FILE:
        raise TooLarge(
            f"{path}: more than {MAX_FILE >> 20} MiB, the most that is read of a file; split it (a CSV file by whole "
            "records, each part with the header) and give the folder of the parts"
        )
    return body


def _recognise(name: str, path: Path, body: bytes | Path) -> tuple[str, str, str]:
    if isinstance(body, Path):
        return _recognise_zip(body)
    head = body[:SNIFFED].lstrip(b"\xef\xbb\xbf \r\n")
    cik = re.fullmatch(r"CIK(\d{10})(-submissions-\d+)?\.json", name)
    if cik and cik[2]:
        return "sec_edgar", "submissions_page", name
    if cik:
        facts = b'"facts"' in head[:1024] and b'"filings"' not in head[:1024]
        return "sec_edgar", "companyfacts" if facts else "submissions", cik[1]
    if name.startswith("company_tickers"):
        return "sec_edgar", "company_tickers", "all"
    if index := re.fullmatch(r"form\.(\d{4})(\d{2})(\d{2})\.idx", name):
        return "sec_edgar", "daily_index", "-".join(index.groups())
    if fails := catalog.fails_days(name):
        return "sec_edgar", "fails_to_deliver", fails[0]
    if is_submission(body) and re.search(rb"13F-(HR|NT)", head):
        return "sec_edgar", "form13f_filing", name
    if b"edgarSubmission" in head and re.search(rb">\s*13F-(HR|NT)", head):
        return "sec_edgar", "form13f_cover", name
    if b"informationTable" in head and head.startswith(b"<"):
        return "sec_edgar", "form13f_table", name
    if name.endswith(filing_files.METADATA):
        return "sec_edgar", "submission_header", name
    if b"ownershipDocument" in (body if is_submission(body) else head):
        return "sec_edgar", "ownership", name
    if head[:1] in b"{[" and head:
        return _recognise_json(path, body)
    if head.startswith(b"<") and b"<ratings" in head:
        return "benzinga", "calendar_ratings", name.removesuffix(".xml")
    header = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip().lower()
    columns = [column.strip(' "') for column in header.split(",")]
    if columns[:2] == ["ticker", "volume"] and "window_start" in columns:
        return "polygon", "day_aggregates", name
    if {"sentiment_gpt", "news_flag"} <= set(columns) or {"article_title", "stock_symbol"} <= set(columns):
        return "fnspid", "csv", name.partition(".")[0].upper()
    if columns[:5] == ["date", "open", "high", "low", "close"]:
        return "operator", "bars_csv", name.removesuffix(".csv").removesuffix(".txt").removesuffix(".us").upper()
    if "gics sector" in columns:
        return "reference", "sp500", "all"
    if columns == SUPPORTED_TICKERS:
        return "tiingo", "supported_tickers", "all"
    spelled = {re.sub(r"[^a-z0-9]", "", column) for column in columns}
    if all(spelled.intersection(FORTUNE500_COLUMNS[field]) for field in ("rank", "name")):
        return "operator", "fortune500", "all"
    raise UnknownFile(f"{path}: not understood; --from-files takes {UNDERSTOOD}")


def _recognise_json(path: Path, body: bytes) -> tuple[str, str, str]:
    try:
        answer = json.loads(body) if len(body) <= MAX_JSON else None
    except ValueError as error:
        raise UnknownFile(f"{path}: no whole JSON ({error}); fetch it again") from error
    key = path.name.removesuffix(".gz").removesuffix(".json")
    row = _first(answer)
    if isinstance(answer, list) and {"adjClose", "divCash"} <= row.keys():
        return "tiingo", "daily_all" if "ticker" in row else "daily_prices", key
    if isinstance(answer, list) and {"publishedDate", "tickers", "url"} <= row.keys():
        return "tiingo", "news", key
    if isinstance(answer, dict):
        if {"meta", "data"} <= answer.keys() and "uuid" in _first(answer["data"]):
            return "marketaux", "news", key
        if "chart" in answer:
            return "yahoo", "chart", key
        if "queryCount" in answer and "ticker" not in answer:
            return "polygon", "grouped_daily", key
        if "rating_current" in _first(answer.get("ratings")):
            return "benzinga", "calendar_ratings", key
        if {"id", "type", "updated"} <= _first(answer.get("removed")).keys():
            return "benzinga", "calendar_removed", key
        results = answer.get("results")
        if isinstance(results, dict):
            if "events" in results and "name" in results:
                return "polygon", "ticker_events", key
            if POLYGON_ROWS["tickers"] <= results.keys():
                return "polygon", "ticker_details", results["ticker"]
        else:
            row = _first(results)
            for endpoint, columns in POLYGON_ROWS.items():
                if columns <= row.keys():
                    return "polygon", endpoint, key
    raise UnknownFile(f"{path}: JSON of no endpoint we know; --from-files takes {UNDERSTOOD}")


def _first(rows: Any) -> dict[str, Any]:
    return rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}


def _recognise_zip(path: Path) -> tuple[str, str, str]:
    if named := catalog.data_set_days(path.name):
        return "sec_edgar", "form13f_set", named[0]
    if named := catalog.fails_days(path.name):
        return "sec_edgar", "fails_to_deliver", named[0]
    if not zipfile.is_zipfile(path):
        raise UnknownFile(f"{path}: no whole zip; fetch it again")
    try:
        with path.open("rb") as file:
            start = file.read(ZIP_START)
            if member := BULK_MEMBER.search(start):  # SEC's have up to a million: the directory is not read for this
                head = _member_head(start[member.end() + int.from_bytes(member[2], "little") :], member[1])
                facts = b'"facts"' in head and b'"filings"' not in head
                return "sec_edgar", "companyfacts_zip" if facts else "submissions_zip", "all"
            names = archives.Archive(file, str(path)).names
    except (archives.ArchiveRefused, zlib.error) as error:
        raise UnknownFile(f"{path}: {error}; fetch it again") from error
    if "INFOTABLE.TSV" in map(str.upper, names):
        return "sec_edgar", "form13f_set", path.stem
    if names == ["supported_tickers.csv"]:
        return "tiingo", "supported_tickers", "all"
    raise UnknownFile(
        f"{path}: a zip of no CIK##########.json and no supported_tickers.csv; --from-files takes {UNDERSTOOD}"
    )


def _member_head(packed: bytes, method: bytes) -> bytes:
    return packed[:1024] if method == b"\0\0" else zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, 1024)
