"""SEC EDGAR as it answers: www.sec.gov, data.sec.gov, and the bulk zips. Source: SEC, "Accessing EDGAR Data"."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

from closingbell.sandbox.vendors.answers import HTML, XML, XML_HEAD, Asked, Box, Reply, as_bytes, ok, routes


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


def _page_of(method: str) -> Callable[[Box, Asked], Reply | None]:
    return lambda box, asked: ok(box.call(method, asked.now), HTML)


def _zip_by_name(method: str) -> Callable[[Box, Asked], Reply | None]:
    return lambda box, asked: ok(box.call(method, asked.match["name"], asked.now), "application/zip")


def _form13f_filing(box: Box, asked: Asked) -> Reply | None:
    return ok(box.call("form13f_filing", asked.match["accession"], asked.now), "text/plain")


def _getcurrent(box: Box, asked: Asked) -> Reply | None:
    if asked.query.get("action") != "getcurrent" or asked.query.get("output") != "atom":
        return None
    start, count = (int(asked.query.get(name, default)) for name, default in (("start", 0), ("count", 40)))
    return ok(box.call("getcurrent", asked.query.get("type", ""), start, count, asked.now), "application/atom+xml")


def _ownership(box: Box, asked: Asked) -> Reply | None:
    return ok(box.call("ownership", asked.match["accession"], asked.now), "text/plain")


_INDEX = r"/Archives/edgar/daily-index/\d{4}/QTR[1-4]/form\.(?P<day>\d{8})\.idx"
WWW = routes(
    ("company_tickers", r"/files/company_tickers\.json", _company_tickers),
    ("daily_index", _INDEX, _daily_index),
    ("companyfacts_zip", r"/Archives/edgar/daily-index/xbrl/companyfacts\.zip", _zip_of("companyfacts")),
    ("submissions_zip", r"/Archives/edgar/daily-index/bulkdata/submissions\.zip", _zip_of("submissions")),
    ("form13f_sets", r"/data-research/sec-markets-data/form-13f-data-sets", _page_of("form13f_sets")),
    ("form13f_set", r"/files/structureddata/.*/(?P<name>[\w-]+)_form13f\.zip", _zip_by_name("form13f_set")),
    (
        "fails_to_deliver_files",
        r"/data-research/sec-markets-data/fails-deliver-data",
        _page_of("fails_to_deliver_files"),
    ),
    ("fails_to_deliver", r"/files/data/.*/(?P<name>cnsfails\d{6}[ab])\.zip", _zip_by_name("fails_to_deliver")),
    # of the simulated managers, whose CIKs are their own
    ("form13f_filing", r"/Archives/edgar/data/96\d{5}/(?P<accession>00096[\d-]{15})\.txt", _form13f_filing),
    ("getcurrent", r"/cgi-bin/browse-edgar", _getcurrent),
    ("ownership", r"/Archives/edgar/data/\d{1,10}/(?P<accession>\d{10}-\d{2}-\d{6})\.txt", _ownership),
)
DATA = routes(
    ("submissions", r"/submissions/CIK(?P<cik>\d{10})\.json", _submissions),
    ("submissions", r"/submissions/(?P<name>CIK\d{10}-submissions-\d{3,}\.json)", _submissions_page),
    ("companyfacts", r"/api/xbrl/companyfacts/CIK(?P<cik>\d{10})\.json", _companyfacts),
)
