"""`--from-files`: answers somebody already has, landed as if the vendor had sent them.

In: files, folders and SEC's bulk zips, plain or gzipped. Out: landing ids with the vendor and endpoint that the name
and the first bytes show. A file that shows neither is an error that lists what is understood.
"""

from __future__ import annotations

import gzip
import re
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from closingbell.hooks.answer import Answer

MAX_FILE = 512 * 1024 * 1024
SNIFFED = 4096
UNDERSTOOD = (
    "SEC companyfacts or submissions JSON (CIK##########.json), SEC's companyfacts.zip or submissions.zip, "
    "company_tickers.json, EDGAR form index (form.YYYYMMDD.idx), Polygon grouped daily JSON or day aggregates CSV, "
    "daily bars CSV (Date,Open,High,Low,Close,Volume), Tiingo daily JSON, Yahoo chart JSON, index constituents CSV"
)


class UnknownFile(ValueError):
    """A file whose name and content show no vendor and endpoint."""


def find(paths: Iterable[str]) -> list[Path]:
    """Every file under the given files and folders, sorted; raises FileNotFoundError naming one that is absent."""
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"--from-files: {path} is not there")
        found += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [path for path in found if not path.name.startswith(".")]


def read(path: Path) -> Answer:
    """The file as an answer: `body` is its bytes, gunzipped, or the path of a zip; raises UnknownFile."""
    name = path.name.removesuffix(".gz")
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    body: bytes | Path = path if name.endswith(".zip") else _read_bytes(path)
    vendor, endpoint, key = _recognise(name, path, body)
    return Answer(
        vendor=vendor,
        endpoint=endpoint,
        key=key,
        request={"method": "file", "path": path.name},
        body=body,
        content_type="application/zip" if isinstance(body, Path) else None,
        answered_at=modified,
        fetched_at=datetime.now(UTC),
    )


def read_all(paths: Iterable[str], *, endpoints: Iterable[str]) -> Iterator[Answer]:
    """Answers of those `endpoints` among the files; a folder may hold others, a file named by itself may not."""
    wanted = set(endpoints)
    named = {str(Path(path)) for path in paths}
    for path in find(named):
        try:
            answer = read(path)
        except UnknownFile:
            if str(path) in named:
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
        raise UnknownFile(f"{path}: more than {MAX_FILE >> 20} MiB; is it a vendor's single answer?")
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
    if head[:1] in b"{[" and head:
        return _recognise_json(path, head, body)
    columns = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip().lower().split(",")
    if columns[:2] == ["ticker", "volume"] and "window_start" in columns:
        return "polygon", "day_aggregates", name
    if columns[:5] == ["date", "open", "high", "low", "close"]:
        return "operator", "bars_csv", name.removesuffix(".csv").removesuffix(".txt").removesuffix(".us").upper()
    if "gics sector" in columns:
        return "reference", "sp500", "all"
    raise UnknownFile(f"{path}: not understood; --from-files takes {UNDERSTOOD}")


def _recognise_json(path: Path, head: bytes, body: bytes) -> tuple[str, str, str]:
    if b'"chart"' in head[:64]:
        return "yahoo", "chart", _key(path)
    if b'"adjClose"' in head and b'"divCash"' in head:
        return "tiingo", "daily_all" if b'"ticker"' in head else "daily_prices", _key(path)
    if b'"queryCount"' in body[:SNIFFED] or b'"queryCount"' in body[-SNIFFED:]:
        return "polygon", "grouped_daily", _key(path)
    raise UnknownFile(f"{path}: JSON of no endpoint we know; --from-files takes {UNDERSTOOD}")


def _recognise_zip(path: Path) -> tuple[str, str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            first = next((m for m in archive.infolist() if re.search(r"CIK\d{10}\.json$", m.filename)), None)
            head = archive.open(first).read(1024) if first else b""
    except zipfile.BadZipFile as error:
        raise UnknownFile(f"{path}: {error}; fetch it again") from error
    if not first:
        raise UnknownFile(f"{path}: a zip without CIK##########.json members; --from-files takes {UNDERSTOOD}")
    facts = b'"facts"' in head and b'"filings"' not in head
    return "sec_edgar", "companyfacts_zip" if facts else "submissions_zip", "all"


def _key(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".json")
