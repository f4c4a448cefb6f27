"""SEC EDGAR as it answers: www.sec.gov, data.sec.gov, and the bulk zips. Source: SEC, "Accessing EDGAR Data"."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

from closingbell.sandbox.vendors.answers import XML, XML_HEAD, Asked, Box, Reply, as_bytes, ok, routes


def _company_tickers(box: Box, asked: Asked) -> Reply | None:
    return ok(box.call("company_tickers", asked.now))


def _submissions(box: Box, asked: Asked) -> Reply | None:
    return ok(box.call("submissions", int(asked.match["cik"]), asked.now))


def _submissions_page(box: Box, asked: Asked) -> Reply | None:
    return ok(box.call("submissions_page", asked.match["name"], asked.now))


def _companyfacts(box: Box, asked: Asked) -> Reply | None:
    return ok(box.call("companyfacts", int(asked.match["cik"]), asked.now))


def _daily_index(box: Box, asked: Asked) -> Reply | None:
    text = asked.match["day"]
    day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    body = as_bytes(box.call("daily_index", day, asked.now))
    if body:
        return Reply(200, body, "application/octet-stream")
    # what the archive's store says of a file that it does not have
    said = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    return Reply(403, XML_HEAD + said, XML)


def _zip_of(kind: str) -> Callable[[Box, Asked], Reply]:
    def handler(box: Box, asked: Asked) -> Reply:
        return Reply(200, _zipped(box, kind, asked.now), "application/zip")

    return handler


def _zipped(box: Box, kind: str, now: datetime) -> Iterator[bytes]:
    """A zip as it grows: member after member, nothing kept."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, body in _members(box, kind, now):
            info = zipfile.ZipInfo(name, date_time=now.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, body, compresslevel=1)
            yield sink.taken()
    yield sink.taken()


def _members(box: Box, kind: str, now: datetime) -> Iterator[tuple[str, bytes]]:
    """(file name, body) of every member of SEC's bulk zips; kind is companyfacts or submissions."""
    for cik in box.market.ciks:
        body = as_bytes(box.call(kind, cik, now))
        if body is None:
            continue
        yield f"CIK{cik:010d}.json", body
        if kind == "submissions":
            for name in re.findall(rb'"name"\s*:\s*"(CIK\d{10}-submissions-\d{3,}\.json)"', body):
                page = as_bytes(box.call("submissions_page", name.decode(), now))
                if page is not None:
                    yield name.decode(), page


class _Sink(io.RawIOBase):
    """A file that can only be written to; `taken` gives what was written since."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def taken(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


_INDEX = r"/Archives/edgar/daily-index/\d{4}/QTR[1-4]/form\.(?P<day>\d{8})\.idx"
WWW = routes(
    ("company_tickers", r"/files/company_tickers\.json", _company_tickers),
    ("daily_index", _INDEX, _daily_index),
    ("companyfacts_zip", r"/Archives/edgar/daily-index/xbrl/companyfacts\.zip", _zip_of("companyfacts")),
    ("submissions_zip", r"/Archives/edgar/daily-index/bulkdata/submissions\.zip", _zip_of("submissions")),
)
DATA = routes(
    ("submissions", r"/submissions/CIK(?P<cik>\d{10})\.json", _submissions),
    ("submissions", r"/submissions/(?P<name>CIK\d{10}-submissions-\d{3,}\.json)", _submissions_page),
    ("companyfacts", r"/api/xbrl/companyfacts/CIK(?P<cik>\d{10})\.json", _companyfacts),
)
