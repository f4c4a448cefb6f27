"""The one HTTP client: quota token, request, whole answer or a named error. Nothing is parsed here.

Out: `Answer`s whose body is complete (length, gzip and JSON end checked) and untouched after gunzip. Requests go to
the hosts of the connection and follow no redirect; secrets go in headers and are struck from every message.
Statuses follow RFC 9110; Retry-After may be seconds or an HTTP date (section 10.2.3).
"""

from __future__ import annotations

import io
import logging
import re
import ssl
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from closingbell.connections import Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import (
    AuthFailed,
    BadAnswer,
    NotFound,
    RateLimited,
    ServerError,
    ThrottlePage,
    VendorError,
)

log = logging.getLogger(__name__)
# their traces write headers, which vendors' redirects echo keys into; a line a request would bury our own
for _name in ("httpcore", "httpx"):
    logging.getLogger(_name).setLevel(logging.WARNING)
T = TypeVar("T")

TRIES = 3
LONGEST_WAIT = 60.0
"""Seconds waited inside a call; a vendor that asks for more is asked again at the batch's end, or by the task."""
THROTTLE_SECONDS = 600.0
MAX_BODY = 128 << 20
"""Bytes of one answer, unpacked. The largest seen is 12 MB (a bank's company facts)."""
MAX_DOWNLOAD = 6 << 30
"""Bytes of a bulk file. SEC's submissions.zip was 1.5 GB in 2025."""
CHUNK = 1 << 16

Promise = Literal["json", "text", "zip", "page"]
Refusal = Callable[[int, bytes], VendorError | None]
"""(status, body) -> the error that this vendor means by them, or None."""


class Tokens(Protocol):
    """What the client needs of a vendor's quota."""

    def take(self, n: int = 1) -> object:
        """Wait for `n` requests' turn; raises QuotaExhausted where the day's budget is spent."""

    def symbol(self, name: str) -> None:
        """Count a symbol asked for; raises QuotaExhausted where the plan's month has no room for another."""

    def throttle(self, seconds: float) -> None:
        """Nobody asks this vendor for so long."""

    def close(self) -> None:
        """Give back what it holds."""


class Client:
    """GET with quota, retries and checks, for one vendor. Close it, or use it as a context manager."""

    def __init__(
        self,
        vendor: str,
        endpoint: Endpoint,
        quota: Tokens | None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        hosts: Collection[str] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.vendor = vendor
        self.hosts = {_origin(endpoint.base_url), *map(_origin, hosts)}
        self.quota = quota
        self.sleep = sleep
        self.throttle_seconds = float(endpoint.extra.get("throttle_seconds", THROTTLE_SECONDS))
        self._secrets = tuple(s for s in (endpoint.password, *_secret_extras(endpoint.extra)) if s)
        seconds = float(endpoint.extra.get("timeout_seconds", 60))
        self._http = httpx.Client(
            headers={"Accept-Encoding": "gzip", **(headers or {})},
            params=query,  # a key that a vendor takes only there; no answer's request names it
            timeout=httpx.Timeout(seconds, connect=min(seconds, 10.0)),
            follow_redirects=False,
            verify=_authorities(),
            trust_env=not endpoint.is_local,  # a proxy of the environment does not stand before this machine
        )

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()
        if self.quota:
            self.quota.close()

    def get(
        self,
        url: str,
        *,
        endpoint: str,
        key: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        promise: Promise = "json",
        max_bytes: int = MAX_BODY,
        refusal: Refusal | None = None,
    ) -> Answer:
        """The whole answer in memory. `refusal` may give the error that status and body mean to this vendor."""

        def once() -> Answer:
            with self._asked(url, endpoint, key, params, headers) as response:
                body = self._body(response, endpoint, key, max_bytes)
                if refusal and (error := refusal(response.status_code, body)):
                    raise error
                if response.status_code != 200:
                    self.refuse(endpoint, key, response.status_code, response.headers, body)
                self.check_complete(body, promise, endpoint, key)
                return self.answer(endpoint, key, url, params, body, response.headers)

        return self.tried(once)

    def post(self, url: str, *, endpoint: str, key: str, body: Mapping[str, Any], max_bytes: int = MAX_BODY) -> Answer:
        """The whole JSON answer to a JSON body; for questions that may be asked twice."""

        def once() -> Answer:
            with self._asked(url, endpoint, key, None, None, body) as response:
                found = self._body(response, endpoint, key, max_bytes)
                if response.status_code != 200:
                    self.refuse(endpoint, key, response.status_code, response.headers, found)
                self.check_complete(found, "json", endpoint, key)
                return replace(
                    answer := self.answer(endpoint, key, url, None, found, response.headers),
                    request=answer.request | {"method": "POST"},
                )

        return self.tried(once)

    def download(
        self,
        url: str,
        folder: Path,
        *,
        endpoint: str,
        key: str,
        max_bytes: int = MAX_DOWNLOAD,
        refusal: Refusal | None = None,
    ) -> Answer:
        """A bulk zip, streamed to a file in `folder`, which is complete or absent; the answer's body is its path."""
        path = folder / url.rsplit("/", 1)[-1]
        partial = path.with_name(path.name + ".part")

        def once() -> Answer:
            # a bulk file takes minutes, so only silence counts as a timeout
            with self._asked(url, endpoint, key, None, {"Accept-Encoding": "identity"}) as response:
                if response.status_code != 200:
                    body = self._body(response, endpoint, key, MAX_BODY)
                    if refusal and (error := refusal(response.status_code, body)):
                        raise error
                    self.refuse(endpoint, key, response.status_code, response.headers, body)
                size = 0
                with partial.open("wb") as file:
                    for chunk in response.iter_raw(CHUNK * 16):
                        size += len(chunk)
                        if size > max_bytes:
                            raise BadAnswer(self.vendor, endpoint, key, 200, f"more than {max_bytes:,} bytes; refused")
                        file.write(chunk)
                if not zipfile.is_zipfile(partial):
                    raise ServerError(self.vendor, endpoint, key, 200, f"{size:,} bytes that are no whole zip")
                partial.replace(path)
                return self.answer(endpoint, key, url, None, path, response.headers)

        folder.mkdir(parents=True, exist_ok=True)
        try:
            return self.tried(once)
        finally:
            partial.unlink(missing_ok=True)

    def tried(self, once: Callable[[], T]) -> T:
        """Call `once` up to three times while the vendor is busy or broken; Retry-After is honoured up to a minute."""
        exponential = wait_random_exponential(multiplier=1, max=LONGEST_WAIT)

        def again(error: BaseException) -> bool:
            return isinstance(error, RateLimited | ServerError) and (error.retry_after or 0) <= LONGEST_WAIT

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, VendorError) else None
            return asked if asked is not None else exponential(state)

        def note(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            log.info("%s; try %d of %d in %.1f s", error, state.attempt_number + 1, TRIES, state.upcoming_sleep)

        for attempt in Retrying(
            retry=retry_if_exception(again),
            stop=stop_after_attempt(TRIES),
            wait=wait,
            sleep=self.sleep,
            before_sleep=note,
            reraise=True,
        ):
            with attempt:
                return once()
        raise AssertionError("unreachable: tenacity raises or returns")

    def answer(
        self,
        endpoint: str,
        key: str,
        url: str,
        params: Mapping[str, Any] | None,
        body: bytes | Path,
        headers: Mapping[str, str],
    ) -> Answer:
        """The Answer; its request is what was asked, credentials aside (they travel in headers)."""
        now = datetime.now(UTC)
        parts = urlsplit(url)
        return Answer(
            vendor=self.vendor,
            endpoint=endpoint,
            key=key,
            request={"method": "GET", "host": parts.netloc, "path": parts.path, "params": dict(params or {})},
            body=body,
            content_type=headers.get("content-type"),
            answered_at=_http_date(headers.get("date")) or now,
            fetched_at=now,
        )

    def refuse(self, endpoint: str, key: str, status: int, headers: Mapping[str, str], body: bytes) -> NoReturn:
        """Raise what a status other than 200 means; a throttle holds back everybody who shares the quota."""
        said = self.redacted(_said(body))
        retry_after = _retry_after(headers)
        args = (self.vendor, endpoint, key, status)
        if 300 <= status < 400:
            host = urlsplit(headers.get("location", "")).hostname or "a path of its own"
            raise BadAnswer(*args, f"redirects to {host}; redirects are not followed, correct the connection's host")
        if status == 429:
            if self.quota and retry_after:
                self.quota.throttle(min(retry_after, self.throttle_seconds))
            raise RateLimited(*args, f"too many requests; {said}", retry_after=retry_after)
        if status in (401, 402, 403):
            raise AuthFailed(*args, f"{said}; check key and plan of the connection {self.vendor}")
        if status in (404, 410):
            raise NotFound(*args, f"not there; {said}")
        if status >= 500 or status in (408, 425):
            raise ServerError(*args, said, retry_after=retry_after)
        raise BadAnswer(*args, said)

    def throttled(self, endpoint: str, key: str, status: int, message: str) -> ThrottlePage:
        """The error of a throttle page, after holding back everybody who shares the quota."""
        if self.quota:
            self.quota.throttle(self.throttle_seconds)
        return ThrottlePage(
            self.vendor, endpoint, key, status, f"{message}; nobody asks for {self.throttle_seconds:.0f} s",
            retry_after=self.throttle_seconds,
        )  # fmt: skip

    def check_complete(self, body: bytes, promise: Promise, endpoint: str, key: str) -> None:
        """Raise ServerError where the body was cut short, BadAnswer where it is not of the promised kind."""
        if promise == "json":
            if body.lstrip()[:1] not in (b"{", b"["):
                raise BadAnswer(self.vendor, endpoint, key, 200, f"no JSON: {self.redacted(_said(body))}")
            try:
                msgspec.json.decode(body, type=msgspec.Raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ServerError(
                    self.vendor, endpoint, key, 200, f"JSON of {len(body):,} bytes was cut short or is broken: {error}"
                ) from None
            if len(body) < 4096 and (note := _note(body)):
                error_type = RateLimited if re.search(r"over your|rate limit|call frequency", note, re.I) else BadAnswer
                raise error_type(self.vendor, endpoint, key, 200, f"a note in place of data: {self.redacted(note)}")
        elif promise == "zip":
            if not zipfile.is_zipfile(io.BytesIO(body)):
                raise ServerError(self.vendor, endpoint, key, 200, f"{len(body):,} bytes that are no whole zip")
        elif promise == "text" and body.lstrip()[:9].lower() in (b"<!doctype", b"<html>"):
            raise BadAnswer(self.vendor, endpoint, key, 200, f"a page in place of text: {self.redacted(_said(body))}")

    def redacted(self, text: str) -> str:
        """The text without this connection's secrets and without anything that looks like a key in a URL."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return re.sub(r"(?i)\b(api_?key|api_token|token|crumb|apikey|access_key)=[^&\s\"']+", r"\1=***", text)

    @contextmanager
    def _asked(
        self,
        url: str,
        endpoint: str,
        key: str,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        body: Mapping[str, Any] | None = None,
    ) -> Iterator[httpx.Response]:
        if _origin(url) not in self.hosts:
            raise BadAnswer(self.vendor, endpoint, key, None, f"{urlsplit(url).hostname} is no host of this connection")
        if self.quota:
            self.quota.take()
        try:
            method = "GET" if body is None else "POST"
            with self._http.stream(method, url, params=params, headers=headers, json=body) as response:
                yield response
        except httpx.HTTPError as error:
            # from None: a chained httpx error carries the request, and with it the headers that hold the key
            kind = "no answer in time" if isinstance(error, httpx.TimeoutException) else type(error).__name__
            raise ServerError(self.vendor, endpoint, key, None, f"{kind}: {self.redacted(str(error))}") from None

    def _body(self, response: httpx.Response, endpoint: str, key: str, max_bytes: int) -> bytes:
        gunzip = zlib.decompressobj(31) if response.headers.get("content-encoding") == "gzip" else None
        parts = bytearray()
        for raw in response.iter_raw(CHUNK):
            try:
                parts += gunzip.decompress(raw, max_bytes + 1 - len(parts)) if gunzip else raw
            except zlib.error as error:
                message = f"the gzip stream is broken: {error}"
                raise ServerError(self.vendor, endpoint, key, response.status_code, message) from None
            if len(parts) > max_bytes:
                raise BadAnswer(
                    self.vendor, endpoint, key, response.status_code, f"more than {max_bytes:,} bytes; refused"
                )
        if gunzip and not gunzip.eof:
            raise ServerError(self.vendor, endpoint, key, response.status_code, "the gzip stream was cut short")
        return bytes(parts)


@cache
def _authorities() -> ssl.SSLContext:
    """Certificates of a process, read once: it takes 30 ms, and a load opens a client a batch."""
    return httpx.create_ssl_context()


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _secret_extras(extra: Mapping[str, Any]) -> list[str]:
    return [str(value) for name, value in extra.items() if re.search(r"key|token|secret|password", name, re.I)]


def _http_date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after")
    if not text:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        return float(text)
    # an HTTP date is on the vendor's clock, so it counts from the vendor's Date
    until, now = _http_date(text), _http_date(headers.get("date")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else None


def _said(body: bytes) -> str:
    """The first words of an error page or message, tags aside."""
    text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", body[:4096].decode("utf-8", "replace"), flags=re.S | re.I)
    return " ".join(text.split())[:200] or "no message"


class _Note(msgspec.Struct):
    """Vendors that refuse with 200: Alpha Vantage's Note and Information, Tiingo's detail."""

    Note: Any = None
    Information: Any = None
    error_message: Any = msgspec.field(name="Error Message", default=None)
    detail: Any = None
    error: Any = None


def _note(body: bytes) -> str | None:
    try:
        note = msgspec.json.decode(body, type=_Note)
    except msgspec.ValidationError:  # an array, or null
        return None
    for said in (note.Note, note.Information, note.error_message, note.detail, note.error):
        if isinstance(said, str) and said:
            return " ".join(said.split())[:200]
    return None
