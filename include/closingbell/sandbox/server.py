"""The vendors on this machine, over HTTP: their paths, parameters, paging, headers, errors and limits.

Below /www.sec.gov, /data.sec.gov, /polygon, /tiingo, /yahoo and /reference stand the vendors' own paths; below
/_sandbox what a vendor has not: the clock, the faults, what market this is. Bodies come from a market (simulated or
recorded), whose methods give bytes, text or the vendor's rows; a LookupError or None is a key the vendor does not know.
The server's clock stands still until it is moved; it is the Date header of every answer.
Shapes: SEC "Accessing EDGAR Data"; Polygon's OpenAPI description; Tiingo's documentation 2.1; Yahoo's chart JSON.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import msgspec
import uvicorn
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request

from closingbell.sandbox.faults import Faults, Rates, drifted, duplicated, rates
from closingbell.sandbox.vendors import ROUTES, benzinga
from closingbell.sandbox.vendors.answers import (
    HTML,
    JSON,
    XML,
    XML_HEAD,
    Asked,
    Reply,
    as_bytes,
    as_rows,
    json_reply,
    page,
    request_id,
)

SEC_PER_SECOND, SEC_WINDOW = 10, 10.0
"""Counted over ten seconds: requests that were paced well still bunch up on a busy machine."""
SEC_BLOCKED_SECONDS = 10.0
"""The real page stays until ten quiet minutes have passed; here it goes sooner."""
COMPRESSED_FROM = 1024
LISTS_KEPT = 4


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
        self.stories_left: int | None = None  # requests that Marketaux' day still has
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
            sent = await request.body() if request.method == "POST" else b""
            asked = f"{request.method} {request.url.path}?{request.url.query}{sent[:4096]!r}"
            drawn = self.faults.draw(asked) if prefix in ROUTES else set()
            if "timeout" in drawn:
                await asyncio.sleep(self.faults.rates.slow_seconds)
            if failure := self._failure(prefix, drawn):
                reply = failure
            else:
                reply = await run_in_threadpool(self._vendor, prefix, path, request, sent)
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
                    return json_reply({"ok": True})
                case "/clock", "POST":
                    self.clock = moment(msgspec.json.decode(body)["now"])
                    return json_reply({"now": self.clock})
                case "/clock", _:
                    return json_reply({"now": self.clock})
                case "/faults", "POST":
                    self.faults.change(rates(body))
                    return json_reply({"rates": self.faults.rates, "counts": self.faults.counts})
                case "/faults", _:
                    return json_reply({"rates": self.faults.rates, "counts": self.faults.counts})
                case "/market", _:
                    return json_reply(await run_in_threadpool(self._describe))
                case "/fortune500.csv", _:
                    csv = as_bytes(await run_in_threadpool(self.call, "fortune500_csv"))
                    return Reply(200, csv, "text/csv") if csv else json_reply({"error": "not in these recordings"}, 404)
        except (ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
            return json_reply({"error": f"{path}: {error}"}, 400)
        return json_reply({"error": f"no {path}; there are health, clock, faults, market, fortune500.csv"}, 404)

    def _describe(self) -> dict[str, Any]:
        with self._lock:
            return {
                "mode": self.mode,
                "seed": self.seed,
                "companies": len(self.market.ciks),
                "first_session": self.market.first_session,
                "last_session": self.market.last_session,
                "quarters": getattr(self.market, "quarters", []),
                "now": self.clock,
            }

    # -- vendors --------------------------------------------------------------------------------------------------

    def _vendor(self, prefix: str, path: str, request: Request, sent: bytes) -> Reply:
        refused = self._refused(prefix, path, request)
        if refused:
            return refused
        for endpoint, pattern, handler in ROUTES.get(prefix, ()):
            if match := pattern.fullmatch(path):
                asked = Asked(match, dict(request.query_params), request.headers, self.clock, sent)
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
                return Reply(403, page("Your Request Originates from an Undeclared Automated Tool"), HTML)
            return Reply(403, page("Request Rate Threshold Exceeded"), HTML) if self._sec.over() else None
        if prefix == "polygon":
            key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
            key = key or request.query_params.get("apiKey", "")
            if not key or key == "wrong":
                said = "Unknown API Key" if key else "API Key was not provided"
                return json_reply({"status": "ERROR", "request_id": request_id(path), "error": said}, 401)
            if self._polygon and self._polygon.over():
                said = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription"
                return json_reply({"status": "ERROR", "request_id": request_id(path), "error": said}, 429)
        if prefix == "marketaux" and request.query_params.get("api_token", "wrong") == "wrong":
            error = {"code": "invalid_api_token", "message": "An invalid API token was supplied."}
            return json_reply({"error": error}, 401)
        if prefix == "gemini" and request.headers.get("x-goog-api-key", "wrong") == "wrong":
            said = "API key not valid. Please pass a valid API key."
            return json_reply({"error": {"code": 403, "message": said, "status": "PERMISSION_DENIED"}}, 403)
        if prefix == "tiingo" and not path.startswith("/docs/"):
            key = request.headers.get("authorization", "").removeprefix("Token ").strip()
            key = key or request.query_params.get("token", "")
            if not key or key == "wrong":
                return json_reply({"detail": "Invalid token." if key else "Please supply a token"}, 401)
        if prefix == "benzinga":
            return benzinga.refused(request.headers, request.query_params)
        return None

    def _failure(self, prefix: str, drawn: set[str]) -> Reply | None:
        sec = prefix.endswith("sec.gov")
        if "429" in drawn:
            reply = Reply(429, page("Too Many Requests"), HTML)
            if prefix in ("polygon", "tiingo"):
                said = "too many requests"
                reply = json_reply({"status": "ERROR", "error": said, "detail": said}, 429)
            reply.headers["Retry-After"] = f"{self.faults.rates.retry_after:g}"
            return reply
        if "403" in drawn:
            return Reply(403, page("Request Rate Threshold Exceeded" if sec else "Access Denied"), HTML)
        return Reply(503, page("Service Unavailable"), HTML) if "5xx" in drawn else None

    def call(self, method: str, *args: Any) -> Any:
        """The market's answer; markets keep caches, so one thread at a time."""
        with self._lock:
            try:
                return getattr(self.market, method)(*args)
            except LookupError:
                return None

    def listed(self, method: str, *args: Any) -> list[dict[str, Any]]:
        """Rows that are asked for page by page, made once for all their pages."""
        with self._lock:
            if (method, *args) not in self._pages:
                while len(self._pages) >= LISTS_KEPT:
                    self._pages.pop(next(iter(self._pages)))
                self._pages[(method, *args)] = as_rows(self.call(method, *args))
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


def _not_found(prefix: str, path: str) -> Reply:
    if prefix == "polygon":
        return json_reply({"status": "NOT_FOUND", "request_id": request_id(path), "message": "Ticker not found."}, 404)
    if prefix == "tiingo":
        return json_reply({"detail": "Not found."}, 404)
    if prefix == "data.sec.gov":
        said = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
        return Reply(404, XML_HEAD + said, XML)
    return Reply(404, page("404 Not Found"), HTML)


def _bad_request(prefix: str, said: str) -> Reply:
    if prefix == "polygon":
        return json_reply({"status": "ERROR", "request_id": request_id(said), "error": said}, 400)
    return json_reply({"detail": said}, 400)


def moment(text: str) -> datetime:
    """An ISO moment with its zone, in UTC; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone; write +00:00")
    return moment.astimezone(UTC)
