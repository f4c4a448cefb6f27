"""The vendors on this machine, over HTTP: their paths, parameters, paging, headers, errors and limits.

Below /www.sec.gov, /data.sec.gov, /polygon, /tiingo, /yahoo and /reference stand the vendors' own paths; below
/_sandbox what a vendor has not: the clock, the faults, what market this is. Bodies come from a market (simulated or
recorded), whose methods give bytes, text or the vendor's rows; a LookupError or None is a key the vendor does not know.
The server's clock stands still until it is moved; it is the Date header of every answer.
Shapes: SEC "Accessing EDGAR Data"; Polygon's OpenAPI description; Tiingo's documentation 2.1; Yahoo's chart JSON.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import re
import socket
import threading
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
import uvicorn
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request

from closingbell.sandbox.faults import Faults, Rates, drifted, duplicated, rates
from closingbell.sessions import NEW_YORK

SEC_PER_SECOND, SEC_WINDOW = 10, 10.0
"""Counted over ten seconds: requests that were paced well still bunch up on a busy machine."""
SEC_BLOCKED_SECONDS = 10.0
"""The real page stays until ten quiet minutes have passed; here it goes sooner."""
POLYGON_PAGE, POLYGON_LARGEST_PAGE = 100, 1000
COMPRESSED_FROM = 1024
LISTS_KEPT = 4

JSON = "application/json"
HTML = "text/html"
XML = "application/xml"
XML_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(slots=True)
class Reply:
    """A whole answer, or a stream of chunks. `endpoint` is the hooks' name for it, which faults go by."""

    status: int
    body: bytes | Iterator[bytes]
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request below a vendor's prefix: path without the prefix, its match, query and headers, and the clock."""

    match: re.Match[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    now: datetime

    def day(self, name: str, default: date) -> date:
        """A date of the query; raises ValueError where it is none."""
        return date.fromisoformat(self.query[name]) if self.query.get(name) else default


class Sandbox:
    """The ASGI application. `market` is the simulated or the recorded one; one request computes at a time."""

    def __init__(
        self,
        market: Any,
        *,
        mode: str,
        seed: int = 0,
        clock: datetime | None = None,
        faults: Rates | None = None,
        polygon_per_minute: int | None = None,
    ) -> None:
        self.market = market
        self.mode = mode
        self.seed = seed
        self.clock = clock or market.default_clock
        self.faults = Faults(seed, faults)
        self._lock = threading.RLock()
        self._pages: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        self._sec = Limit(int(SEC_PER_SECOND * SEC_WINDOW), SEC_WINDOW, SEC_BLOCKED_SECONDS)
        self._polygon = Limit(polygon_per_minute, 60.0, 0.0) if polygon_per_minute else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        headers = {"accept-encoding": request.headers.get("accept-encoding", "")}
        prefix, _, path = request.url.path.lstrip("/").partition("/")
        path = "/" + path
        if prefix == "_sandbox":
            reply = await self._control(path, request)
        else:
            asked = f"{request.method} {request.url.path}?{request.url.query}"
            drawn = self.faults.draw(asked) if prefix in ROUTES else set()
            if "timeout" in drawn:
                await asyncio.sleep(self.faults.rates.slow_seconds)
            if failure := self._failure(prefix, drawn):
                reply = failure
            else:
                reply = await run_in_threadpool(self._vendor, prefix, path, request)
            if reply.status == 200 and isinstance(reply.body, bytes):
                if "duplicates" in drawn:
                    reply.body = duplicated(reply.endpoint, reply.body)
                if "drift" in drawn:
                    reply.body = drifted(reply.endpoint, reply.body)
            if "truncated" in drawn and reply.status == 200:
                await self._cut(reply, send, asked)
                return
        await self._send(reply, headers, send)

    # -- control ------------------------------------------------------------------------------------------------

    async def _control(self, path: str, request: Request) -> Reply:
        body = await request.body() if request.method == "POST" else b""
        try:
            match path, request.method:
                case "/health", _:
                    return _json({"ok": True})
                case "/clock", "POST":
                    self.clock = moment(msgspec.json.decode(body)["now"])
                    return _json({"now": self.clock})
                case "/clock", _:
                    return _json({"now": self.clock})
                case "/faults", "POST":
                    self.faults.change(rates(body))
                    return _json({"rates": self.faults.rates, "counts": self.faults.counts})
                case "/faults", _:
                    return _json({"rates": self.faults.rates, "counts": self.faults.counts})
                case "/market", _:
                    return _json(await run_in_threadpool(self._describe))
                case "/fortune500.csv", _:
                    csv = _bytes(await run_in_threadpool(self._call, "fortune500_csv"))
                    return Reply(200, csv, "text/csv") if csv else _json({"error": "not in these recordings"}, 404)
        except (ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
            return _json({"error": f"{path}: {error}"}, 400)
        return _json({"error": f"no {path}; there are health, clock, faults, market, fortune500.csv"}, 404)

    def _describe(self) -> dict[str, Any]:
        with self._lock:
            return {
                "mode": self.mode,
                "seed": self.seed,
                "companies": len(self.market.ciks),
                "last_session": self.market.last_session,
                "now": self.clock,
            }

    # -- vendors --------------------------------------------------------------------------------------------------

    def _vendor(self, prefix: str, path: str, request: Request) -> Reply:
        refused = self._refused(prefix, path, request)
        if refused:
            return refused
        for endpoint, pattern, handler in ROUTES.get(prefix, ()):
            if match := pattern.fullmatch(path):
                asked = Asked(match, dict(request.query_params), request.headers, self.clock)
                try:
                    reply = handler(self, asked) or _not_found(prefix, path)
                except ValueError as error:
                    reply = _bad_request(prefix, str(error))
                reply.endpoint = endpoint
                return reply
        return _not_found(prefix, path)

    def _refused(self, prefix: str, path: str, request: Request) -> Reply | None:
        """What the vendor says to who asks without a name or a key, or too often."""
        if prefix.endswith("sec.gov"):
            if "@" not in request.headers.get("user-agent", ""):
                return Reply(403, _page("Your Request Originates from an Undeclared Automated Tool"), HTML)
            return Reply(403, _page("Request Rate Threshold Exceeded"), HTML) if self._sec.over() else None
        if prefix == "polygon":
            key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
            key = key or request.query_params.get("apiKey", "")
            if not key or key == "wrong":
                said = "Unknown API Key" if key else "API Key was not provided"
                return _json({"status": "ERROR", "request_id": _request_id(path), "error": said}, 401)
            if self._polygon and self._polygon.over():
                said = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription"
                return _json({"status": "ERROR", "request_id": _request_id(path), "error": said}, 429)
        if prefix == "tiingo" and not path.startswith("/docs/"):
            key = request.headers.get("authorization", "").removeprefix("Token ").strip()
            key = key or request.query_params.get("token", "")
            if not key or key == "wrong":
                return _json({"detail": "Invalid token." if key else "Please supply a token"}, 401)
        return None

    def _failure(self, prefix: str, drawn: set[str]) -> Reply | None:
        sec = prefix.endswith("sec.gov")
        if "429" in drawn:
            reply = Reply(429, _page("Too Many Requests"), HTML)
            if prefix in ("polygon", "tiingo"):
                reply = _json({"status": "ERROR", "error": "too many requests", "detail": "too many requests"}, 429)
            reply.headers["Retry-After"] = f"{self.faults.rates.retry_after:g}"
            return reply
        if "403" in drawn:
            return Reply(403, _page("Request Rate Threshold Exceeded" if sec else "Access Denied"), HTML)
        return Reply(503, _page("Service Unavailable"), HTML) if "5xx" in drawn else None

    def _call(self, method: str, *args: Any) -> Any:
        """The market's answer; markets keep caches, so one thread at a time."""
        with self._lock:
            try:
                return getattr(self.market, method)(*args)
            except LookupError:
                return None

    def _listed(self, method: str, *args: Any) -> list[dict[str, Any]]:
        """Rows that are asked for page by page, made once for all their pages."""
        with self._lock:
            if (method, *args) not in self._pages:
                while len(self._pages) >= LISTS_KEPT:
                    self._pages.pop(next(iter(self._pages)))
                self._pages[(method, *args)] = _rows(self._call(method, *args))
            return self._pages[(method, *args)]

    # -- sending --------------------------------------------------------------------------------------------------

    def _head(self, reply: Reply, extra: Mapping[str, str]) -> dict[str, Any]:
        names = {"Content-Type": reply.content_type, "Date": format_datetime(self.clock, usegmt=True)}
        names |= {**reply.headers, **extra}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in names.items()]
        return {"type": "http.response.start", "status": reply.status, "headers": raw}

    async def _send(self, reply: Reply, headers: Mapping[str, str], send: Any) -> None:
        if not isinstance(reply.body, bytes):
            await send(self._head(reply, {}))
            async for chunk in iterate_in_threadpool(reply.body):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        body, extra = reply.body, {}
        if "gzip" in headers["accept-encoding"] and len(body) >= COMPRESSED_FROM and "zip" not in reply.content_type:
            body = await run_in_threadpool(gzip.compress, body, 1)
            extra["Content-Encoding"] = "gzip"
        await send(self._head(reply, {**extra, "Content-Length": str(len(body))}))
        await send({"type": "http.response.body", "body": body})

    async def _cut(self, reply: Reply, send: Any, asked: str) -> None:
        """Half an answer: with its full length announced and the connection closed, or (JSON) as if it were whole."""
        whole = reply.body if isinstance(reply.body, bytes) else next(reply.body, b"")
        body = whole[: len(whole) // 2]
        if reply.content_type == JSON and len(asked) % 2:
            await send(self._head(reply, {"Content-Length": str(len(body))}))
            await send({"type": "http.response.body", "body": body})
            return
        await send(self._head(reply, {"Content-Length": str(2 * len(body) + 1)}))
        await send({"type": "http.response.body", "body": body, "more_body": True})
        raise CutShort(asked)


def open_market(mode: str, *, recordings: Any = None, seed: int = 7, companies: int = 60) -> Any:
    """The market of a mode; raises ValueError where recorded mode has no folder."""
    if mode == "recorded":
        from closingbell.sandbox.recorded import Recorded

        if not recordings:
            raise ValueError("recorded mode needs --recordings DIR (or CLOSINGBELL_RECORDINGS)")
        return Recorded(recordings)
    from closingbell.sandbox.market import Market

    return Market(seed=seed, companies=companies)


def server_of(box: Sandbox) -> uvicorn.Server:
    """An unstarted server: `run(sockets=[...])`. Silent, since an answer that is cut on purpose ends in an error."""
    return uvicorn.Server(
        uvicorn.Config(
            box,
            http="h11",
            ws="none",
            lifespan="off",
            log_level="critical",
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_keep_alive=30,
        )
    )


@contextmanager
def running(box: Sandbox) -> Iterator[str]:
    """The sandbox on a free port of this machine, in a thread of this process, as long as the block; gives its URL."""
    server = server_of(box)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=10)


class CutShort(Exception):
    """Raised on purpose: uvicorn closes the connection of an answer that ends before its length."""


class Limit:
    """More than `count` requests in `window` seconds block everybody for `blocked` seconds. Thread-safe."""

    def __init__(self, count: int, window: float, blocked: float) -> None:
        self.count, self.window, self.blocked = count, window, blocked
        self._seen: deque[float] = deque()
        self._until = 0.0
        self._lock = threading.Lock()

    def over(self) -> bool:
        """Counts one request; whether it is refused."""
        with self._lock:
            now = time.monotonic()
            while self._seen and self._seen[0] <= now - self.window:
                self._seen.popleft()
            self._seen.append(now)
            if len(self._seen) > self.count:
                self._until = max(self._until, now + self.blocked)
                return True
            return now < self._until


# -- SEC ----------------------------------------------------------------------------------------------------------


def _company_tickers(box: Sandbox, asked: Asked) -> Reply | None:
    return _ok(box._call("company_tickers", asked.now))


def _submissions(box: Sandbox, asked: Asked) -> Reply | None:
    return _ok(box._call("submissions", int(asked.match["cik"]), asked.now))


def _submissions_page(box: Sandbox, asked: Asked) -> Reply | None:
    return _ok(box._call("submissions_page", asked.match["name"], asked.now))


def _companyfacts(box: Sandbox, asked: Asked) -> Reply | None:
    return _ok(box._call("companyfacts", int(asked.match["cik"]), asked.now))


def _daily_index(box: Sandbox, asked: Asked) -> Reply | None:
    text = asked.match["day"]
    day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    body = _bytes(box._call("daily_index", day, asked.now))
    if body:
        return Reply(200, body, "application/octet-stream")
    # what the archive's store says of a file that it does not have
    said = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    return Reply(403, XML_HEAD + said, XML)


def _zip_of(kind: str) -> Callable[[Sandbox, Asked], Reply]:
    def handler(box: Sandbox, asked: Asked) -> Reply:
        return Reply(200, _zipped(box, kind, asked.now), "application/zip")

    return handler


def _zipped(box: Sandbox, kind: str, now: datetime) -> Iterator[bytes]:
    """A zip as it grows: member after member, nothing kept."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, body in _members(box, kind, now):
            info = zipfile.ZipInfo(name, date_time=now.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, body, compresslevel=1)
            yield sink.taken()
    yield sink.taken()


def _members(box: Sandbox, kind: str, now: datetime) -> Iterator[tuple[str, bytes]]:
    """(file name, body) of every member of SEC's bulk zips; kind is companyfacts or submissions."""
    for cik in box.market.ciks:
        body = _bytes(box._call(kind, cik, now))
        if body is None:
            continue
        yield f"CIK{cik:010d}.json", body
        if kind == "submissions":
            for name in re.findall(rb'"name"\s*:\s*"(CIK\d{10}-submissions-\d{3,}\.json)"', body):
                page = _bytes(box._call("submissions_page", name.decode(), now))
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


# -- Polygon --------------------------------------------------------------------------------------------------------


def _grouped(box: Sandbox, asked: Asked) -> Reply | None:
    session = date.fromisoformat(asked.match["day"])
    adjusted = asked.query.get("adjusted", "true") == "true"
    answer = box._call("grouped_daily", session, asked.now)
    rows, said = _rows(answer), answer if isinstance(answer, dict) else {}
    body: dict[str, Any] = {
        "queryCount": len(rows),
        "resultsCount": len(rows),
        "adjusted": said.get("adjusted", adjusted),
        "results": rows,
        "status": "OK",
        "request_id": _request_id(asked.match.string),
        "count": len(rows),
    }
    if not rows:
        body = {name: value for name, value in body.items() if name not in ("results", "count")}
    return _json(body)


def _tickers(box: Sandbox, asked: Asked) -> Reply | None:
    query = _resumed(asked)
    rows = box._listed("polygon_tickers", query.get("active", "true") == "true", asked.now)
    for name in ("ticker", "type", "cik"):
        if query.get(name):
            rows = [row for row in rows if str(row.get(name, "")).lstrip("0") == query[name].lstrip("0")]
    return _paged(asked, query, sorted(rows, key=lambda row: row["ticker"]))


def _splits(box: Sandbox, asked: Asked) -> Reply | None:
    return _dated(box, asked, "polygon_splits", "execution_date")


def _dividends(box: Sandbox, asked: Asked) -> Reply | None:
    return _dated(box, asked, "polygon_dividends", "ex_dividend_date")


def _dated(box: Sandbox, asked: Asked, method: str, name: str) -> Reply:
    query = _resumed(asked)
    exact = query.get(name)
    first = _iso(exact or query.get(f"{name}.gte"), date(1970, 1, 1))
    last = _iso(exact or query.get(f"{name}.lte"), date(2100, 1, 1))
    first = max(first, _iso(query.get(f"{name}.gt"), date(1970, 1, 1) - timedelta(days=1)) + timedelta(days=1))
    last = min(last, _iso(query.get(f"{name}.lt"), date(2100, 1, 2)) - timedelta(days=1))
    rows = box._listed(method, first, last, asked.now)
    if query.get("ticker"):
        rows = [row for row in rows if row["ticker"] == query["ticker"]]
    rows = sorted(rows, key=lambda row: (row[name], row["ticker"]), reverse=query.get("order", "desc") == "desc")
    return _paged(asked, query, rows)


def _paged(asked: Asked, query: Mapping[str, str], rows: list[dict[str, Any]]) -> Reply:
    limit = int(query.get("limit", POLYGON_PAGE))
    if not 1 <= limit <= POLYGON_LARGEST_PAGE:
        raise ValueError(f"limit must be from 1 to {POLYGON_LARGEST_PAGE}")
    start = int(query.get("_start", 0))
    page = rows[start : start + limit]
    body = {"results": page, "status": "OK", "request_id": _request_id(asked.match.string), "count": len(page)}
    if start + limit < len(rows):
        state = urlencode({**query, "_start": start + limit})
        cursor = base64.urlsafe_b64encode(state.encode()).decode().rstrip("=")
        # the vendor names its own host, whatever host was asked
        body["next_url"] = f"https://api.polygon.io{asked.match.string}?cursor={cursor}"
    return _json(body)


def _resumed(asked: Asked) -> dict[str, str]:
    """The query of the first page: a cursor carries it."""
    cursor = asked.query.get("cursor")
    if not cursor:
        return {name: value for name, value in asked.query.items() if name not in ("apiKey", "_start")}
    state = dict(parse_qsl(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("utf-8", "replace")))
    if not state.get("_start", "").isdigit():
        raise ValueError("cursor is not one of ours")
    return state


def _details(box: Sandbox, asked: Asked) -> Reply | None:
    day = asked.day("date", asked.now.astimezone(NEW_YORK).date())
    return _result(asked, box._call("ticker_details", asked.match["ticker"], day, asked.now))


def _events(box: Sandbox, asked: Asked) -> Reply | None:
    return _result(asked, box._call("ticker_events", asked.match["ticker"], asked.now))


def _result(asked: Asked, answer: Any) -> Reply | None:
    if answer is None:
        return None
    answer = msgspec.json.decode(answer) if isinstance(answer, bytes | str) else answer
    results = answer["results"] if isinstance(answer, dict) and "results" in answer else answer
    return _json({"request_id": _request_id(asked.match.string), "results": results, "status": "OK"})


def _market_status(box: Sandbox, asked: Asked) -> Reply | None:
    return _json({"market": "closed", "afterHours": False, "earlyHours": False, "serverTime": asked.now})


# -- Tiingo -----------------------------------------------------------------------------------------------------------


def _tiingo_prices(box: Sandbox, asked: Asked) -> Reply | None:
    today = asked.now.astimezone(NEW_YORK).date()
    first, last = asked.day("startDate", today - timedelta(days=7)), asked.day("endDate", today)
    answer = box._call("tiingo_prices", asked.match["ticker"], first, last, asked.now)
    if answer is None:
        return _json({"detail": f"Error: Ticker '{asked.match['ticker']}' not found"}, 404)
    return _ok(answer)


def _tiingo_all(box: Sandbox, asked: Asked) -> Reply | None:
    return _ok(box._call("tiingo_daily_all", asked.now))


def _tiingo_supported(box: Sandbox, asked: Asked) -> Reply | None:
    answer = _bytes(box._call("tiingo_supported", asked.now))
    if answer is None or answer[:2] == b"PK":
        return _ok(answer, "application/zip")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("supported_tickers.csv", asked.now.timetuple()[:6]), answer)
    return Reply(200, packed.getvalue(), "application/zip")


def _tiingo_test(box: Sandbox, asked: Asked) -> Reply | None:
    return _json({"message": "You successfully sent a request"})


# -- Yahoo ----------------------------------------------------------------------------------------------------------


def _yahoo_cookie(box: Sandbox, asked: Asked) -> Reply | None:
    return Reply(404, b"", HTML, {"Set-Cookie": "A3=sandbox; Path=/"})


def _yahoo_crumb(box: Sandbox, asked: Asked) -> Reply | None:
    return Reply(200, b"sandbox", "text/plain")


def _yahoo_chart(box: Sandbox, asked: Asked) -> Reply | None:
    today = asked.now.astimezone(NEW_YORK).date()
    first = _day_of(asked.query.get("period1"), today - timedelta(days=5))
    # period2 is exclusive: midnight after the last day
    last = _day_of(asked.query.get("period2"), today, before=1)
    answer = box._call("yahoo_chart", asked.match["ticker"], first, last, asked.now)
    if answer is None:
        error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
        return _json({"chart": {"result": None, "error": error}}, 404)
    if isinstance(answer, dict) and answer["chart"].get("error"):
        return _json(answer, 404)
    return _ok(answer)


def _day_of(stamp: str | None, default: date, before: int = 0) -> date:
    return datetime.fromtimestamp(int(stamp) - before, NEW_YORK).date() if stamp else default


# -- reference ------------------------------------------------------------------------------------------------------


def _sp500(box: Sandbox, asked: Asked) -> Reply | None:
    return _ok(box._call("sp500_csv", asked.now), "text/plain; charset=utf-8")


def _routes(*routes: tuple[str, str, Callable[[Sandbox, Asked], Reply | None]]) -> Any:
    return tuple((endpoint, re.compile(pattern), handler) for endpoint, pattern, handler in routes)


_DAY = r"(?P<day>\d{4}-\d{2}-\d{2})"
_INDEX = r"/Archives/edgar/daily-index/\d{4}/QTR[1-4]/form\.(?P<day>\d{8})\.idx"
ROUTES: dict[str, Any] = {
    "www.sec.gov": _routes(
        ("company_tickers", r"/files/company_tickers\.json", _company_tickers),
        ("daily_index", _INDEX, _daily_index),
        ("companyfacts_zip", r"/Archives/edgar/daily-index/xbrl/companyfacts\.zip", _zip_of("companyfacts")),
        ("submissions_zip", r"/Archives/edgar/daily-index/bulkdata/submissions\.zip", _zip_of("submissions")),
    ),
    "data.sec.gov": _routes(
        ("submissions", r"/submissions/CIK(?P<cik>\d{10})\.json", _submissions),
        ("submissions", r"/submissions/(?P<name>CIK\d{10}-submissions-\d{3,}\.json)", _submissions_page),
        ("companyfacts", r"/api/xbrl/companyfacts/CIK(?P<cik>\d{10})\.json", _companyfacts),
    ),
    "polygon": _routes(
        ("grouped_daily", rf"/v2/aggs/grouped/locale/us/market/stocks/{_DAY}", _grouped),
        ("tickers", r"/v3/reference/tickers", _tickers),
        ("splits", r"/v3/reference/splits", _splits),
        ("dividends", r"/v3/reference/dividends", _dividends),
        ("ticker_details", r"/v3/reference/tickers/(?P<ticker>[^/]+)", _details),
        ("ticker_events", r"/vX/reference/tickers/(?P<ticker>[^/]+)/events", _events),
        ("market_status", r"/v1/marketstatus/now", _market_status),
    ),
    "tiingo": _routes(
        ("daily_all", r"/tiingo/daily/prices", _tiingo_all),
        ("daily_prices", r"/tiingo/daily/(?P<ticker>[^/]+)/prices", _tiingo_prices),
        ("supported_tickers", r"/docs/tiingo/daily/supported_tickers\.zip", _tiingo_supported),
        ("test", r"/api/test/?", _tiingo_test),
    ),
    "yahoo": _routes(
        ("cookie", r"/", _yahoo_cookie),
        ("crumb", r"/v1/test/getcrumb", _yahoo_crumb),
        ("chart", r"/v8/finance/chart/(?P<ticker>[^/]+)", _yahoo_chart),
    ),
    "reference": _routes(("sp500", r"/(sp500_)?constituents\.csv", _sp500)),
}
"""Prefix -> (the hooks' endpoint name, the vendor's path, what answers it)."""


def _json(content: Any, status: int = 200) -> Reply:
    return Reply(status, msgspec.json.encode(content))


def _ok(answer: Any, content_type: str = JSON) -> Reply | None:
    body = _bytes(answer)
    return None if body is None else Reply(200, body, content_type)


def _bytes(answer: Any) -> bytes | None:
    if answer is None or isinstance(answer, bytes):
        return answer
    return answer.encode() if isinstance(answer, str) else msgspec.json.encode(answer)


def _rows(answer: Any) -> list[dict[str, Any]]:
    answer = msgspec.json.decode(answer) if isinstance(answer, bytes | str) else answer
    if isinstance(answer, dict):
        answer = answer.get("results")
    return list(answer or ())


def _not_found(prefix: str, path: str) -> Reply:
    if prefix == "polygon":
        return _json({"status": "NOT_FOUND", "request_id": _request_id(path), "message": "Ticker not found."}, 404)
    if prefix == "tiingo":
        return _json({"detail": "Not found."}, 404)
    if prefix == "data.sec.gov":
        said = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
        return Reply(404, XML_HEAD + said, XML)
    return Reply(404, _page("404 Not Found"), HTML)


def _bad_request(prefix: str, said: str) -> Reply:
    if prefix == "polygon":
        return _json({"status": "ERROR", "request_id": _request_id(said), "error": said}, 400)
    return _json({"detail": said}, 400)


def _page(title: str) -> bytes:
    return f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n".encode()


def _request_id(path: str) -> str:
    """The same for the same path: equal questions get equal bytes."""
    return base64.b16encode(path.encode()[-16:].rjust(16, b"0")).decode().lower()


def _iso(text: str | None, default: date) -> date:
    return date.fromisoformat(text) if text else default


def moment(text: str) -> datetime:
    """An ISO moment with its zone, in UTC; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone; write +00:00")
    return moment.astimezone(UTC)
