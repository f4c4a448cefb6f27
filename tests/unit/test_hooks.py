"""Each way a vendor refuses or breaks becomes its named error, no secret shows, and no request leaves the connection's
host. The vendor is a scripted HTTP server on this machine."""

from __future__ import annotations

import gzip
import json
import logging
import pickle
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from closingbell.connections import ConnectionMissing, Endpoint
from closingbell.hooks import allowance, quota_key
from closingbell.hooks import http as client_module
from closingbell.hooks.answer import Answer
from closingbell.hooks.benzinga import Benzinga
from closingbell.hooks.errors import (
    AuthFailed,
    BadAnswer,
    NotFound,
    NotYet,
    RateLimited,
    ServerError,
    ThrottlePage,
    VendorError,
)
from closingbell.hooks.polygon import Polygon
from closingbell.hooks.reference import Reference
from closingbell.hooks.sec_edgar import SecEdgar
from closingbell.hooks.tiingo import Tiingo
from closingbell.hooks.yahoo import Yahoo, bound_session

SECRET = "s3cr3t-KEY-0123456789"
SESSION = date(2025, 11, 28)
Script = Callable[[BaseHTTPRequestHandler], None]


class Tokens:
    """A quota that counts."""

    def __init__(self) -> None:
        self.taken = 0
        self.throttled: list[float] = []
        self.symbols: list[str] = []

    def take(self, n: int = 1) -> None:
        self.taken += n

    def symbol(self, name: str) -> None:
        self.symbols.append(name)

    def throttle(self, seconds: float) -> None:
        self.throttled.append(seconds)

    def close(self) -> None:
        pass


class Vendor:
    """A vendor that answers by script and remembers what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.script: Script = lambda request: None
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.slept: list[float] = []
        self.tokens = Tokens()

    def answers(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        """The same answer to every request; header names with _ for -."""
        self.script = lambda request: answer(request, status, body, **headers)

    def in_turn(self, *scripts: Script) -> None:
        """One script a request, the last for ever."""
        waiting = list(scripts)
        self.script = lambda request: (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request)

    def endpoint(self, conn_id: str, **extra: Any) -> Endpoint:
        return Endpoint(conn_id, self.url, password=SECRET, extra={"contact": "ops@example.org", **extra})

    def polygon(self, **extra: Any) -> Polygon:
        return Polygon(self.endpoint("polygon", **extra), self.tokens, sleep=self.slept.append)

    def sec(self, **extra: Any) -> SecEdgar:
        return SecEdgar(self.endpoint("sec_edgar", **extra), self.tokens, sleep=self.slept.append)

    def tiingo(self, **extra: Any) -> Tiingo:
        return Tiingo(self.endpoint("tiingo", **extra), self.tokens, sleep=self.slept.append)

    def reference(self, **extra: Any) -> Reference:
        return Reference(self.endpoint("reference", **extra), self.tokens, sleep=self.slept.append)

    def yahoo(self, tmp_path: Path, **extra: Any) -> Yahoo:
        endpoint = self.endpoint("yahoo", cache_dir=str(tmp_path / "yahoo"), **extra)
        return Yahoo(endpoint, self.tokens, sleep=self.slept.append)


def answer(request: BaseHTTPRequestHandler, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
    names = {"Content-Length": str(len(body)), "Content-Type": "application/json"}
    names |= {name.replace("_", "-"): value for name, value in headers.items()}
    request.send_response_only(status)
    for name, value in names.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def serving(vendor_of: Callable[[str], Vendor]) -> Iterator[Vendor]:
    vendors: list[Vendor] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            vendors[0].asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            vendors[0].script(self)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    vendors.append(vendor_of(f"http://127.0.0.1:{server.server_port}"))
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield vendors[0]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serving(Vendor) as one:
        yield one


# -- answers ---------------------------------------------------------------------------------------------------------


def test_answer_is_the_vendors_bytes_with_its_clock_and_without_the_key(vendor):
    body = b'{ "status":"OK",\n "results": [ {"T":"A","c":1.10} ] }'
    vendor.answers(
        200,
        gzip.compress(body),
        Content_Length=str(len(gzip.compress(body))),
        Content_Encoding="gzip",
        Date="Fri, 28 Nov 2025 20:05:00 GMT",
    )
    got = vendor.polygon().grouped_daily(SESSION)
    assert got.body == body  # spaces, 1.10 and all
    assert (got.vendor, got.endpoint, got.key) == ("polygon", "grouped_daily", "2025-11-28")
    assert got.answered_at == datetime(2025, 11, 28, 20, 5, tzinfo=UTC)
    assert got.fetched_at.tzinfo is UTC
    assert got.request["params"] == {"adjusted": "false", "include_otc": "false"}
    assert SECRET not in repr(got)
    path, headers = vendor.asked[0]
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in path
    assert vendor.tokens.taken == 1


def test_tiingo_token_is_a_header_and_stays_away_from_the_public_list(vendor):
    vendor.answers(200, b"[]")
    vendor.tiingo().daily_prices("BRK-B", SESSION, SESSION)
    assert vendor.tokens.symbols == ["BRK-B"]
    assert vendor.asked[0][1]["authorization"] == f"Token {SECRET}"
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("supported_tickers.csv", "ticker\n")
    vendor.answers(200, packed.getvalue())
    assert vendor.tiingo().supported_tickers().body == packed.getvalue()
    assert "authorization" not in vendor.asked[1][1]


def test_daily_all_is_keyed_by_the_session_of_the_vendors_clock(vendor):
    # Saturday 2025-11-29: the last session is the early close of the 28th
    vendor.answers(200, b"[]", Date="Sat, 29 Nov 2025 15:00:00 GMT")
    assert vendor.tiingo().daily_all().key == "2025-11-28"


def test_benzinga_is_asked_by_header_page_by_page_until_one_is_not_full(vendor, monkeypatch):
    monkeypatch.setattr("closingbell.hooks.benzinga.PAGE", 2)
    bodies = [b'{"ratings":[{},{}]}', b'{"ratings":[{}]}']
    vendor.script = lambda request: answer(request, body=bodies.pop(0))
    hook = Benzinga(vendor.endpoint("benzinga"), vendor.tokens)
    moment = datetime(2025, 11, 28, 12, tzinfo=UTC)
    pages = list(hook.ratings(["A", "BRK.B"], since=moment))
    assert [page.body for page in pages] == [b'{"ratings":[{},{}]}', b'{"ratings":[{}]}']
    assert [page.request["params"]["page"] for page in pages] == [0, 1]
    assert len({page.key for page in pages}) == 2
    path, headers = vendor.asked[0]
    assert path.startswith("/api/v2.1/calendar/ratings?")
    assert f"updated%5D={int(moment.timestamp()) - 5}" in path  # five seconds before: seconds may come late
    assert headers["authorization"] == f"token {SECRET}"
    assert vendor.tokens.taken == 2
    with pytest.raises(ValueError, match="1 to 50 tickers"):
        list(hook.ratings(["A"] * 51))


def test_benzingas_removals_go_on_where_it_does_not_obey_the_page_size(vendor):
    """Its reference gives their list a page of 100 by default, and a path that ends with a slash."""
    bodies = [b'{"removed":[%s]}' % b",".join([b"{}"] * rows) for rows in (100, 100, 7)]
    vendor.script = lambda request: answer(request, body=bodies.pop(0))
    hook = Benzinga(vendor.endpoint("benzinga"), vendor.tokens)
    assert len(list(hook.removed(datetime(2025, 11, 28, tzinfo=UTC)))) == 3
    assert {path.partition("?")[0] for path, _ in vendor.asked} == {"/api/v2.1/calendar-removed/"}


def test_benzingas_404_for_nothing_is_no_page_and_another_is_an_error(vendor):
    hook = Benzinga(vendor.endpoint("benzinga"), vendor.tokens)
    vendor.answers(404, b'{"ok": false, "errors": [{"code": "no_data_found", "id": "not_found"}]}')
    assert list(hook.removed(datetime(2025, 11, 28, tzinfo=UTC))) == []
    vendor.answers(404, b"<html><title>404 Not Found</title></html>")
    with pytest.raises(NotFound):
        list(hook.ratings(["A"], first=SESSION, last=SESSION))


def test_benzinga_has_an_end_to_its_pages(vendor, monkeypatch):
    monkeypatch.setattr("closingbell.hooks.benzinga.PAGE", 1)
    vendor.answers(200, b'{"ratings":[{}]}')
    with pytest.raises(BadAnswer, match="more than 100 pages"):
        list(Benzinga(vendor.endpoint("benzinga"), vendor.tokens).ratings(["A"], first=SESSION, last=SESSION))


def test_sec_is_told_who_asks_and_refuses_to_be_asked_by_nobody(vendor, monkeypatch):
    vendor.answers(200, b"{}")
    vendor.sec().submissions(320193)
    path, headers = vendor.asked[0]
    assert path == "/data.sec.gov/submissions/CIK0000320193.json"
    assert "ops@example.org" in headers["user-agent"]
    monkeypatch.setenv("CLOSINGBELL_SEC_CONTACT", "")
    from closingbell.settings import settings

    settings.cache_clear()
    with pytest.raises(ConnectionMissing, match="CLOSINGBELL_SEC_CONTACT"):
        SecEdgar(Endpoint("sec_edgar", vendor.url))
    settings.cache_clear()


@pytest.mark.parametrize("hook", [Benzinga, Polygon, Tiingo])
def test_a_hook_without_its_key_says_what_to_set(hook):
    with pytest.raises(ConnectionMissing, match=r"_API_KEY"):
        hook(Endpoint(hook.vendor, "https://api.example.org"))


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, BadAnswer), (401, AuthFailed), (402, AuthFailed), (403, AuthFailed), (404, NotFound), (422, BadAnswer)],
)
def test_refusals_that_do_not_mend_are_asked_once(vendor, status, error):
    vendor.answers(status, b'{"status":"ERROR","error":"because"}')
    with pytest.raises(error, match="because") as raised:
        vendor.polygon().grouped_daily(SESSION)
    assert raised.value.status == status
    assert len(vendor.asked) == 1
    assert vendor.slept == []


def test_429_waits_as_asked_holds_back_the_others_and_then_answers(vendor):
    vendor.in_turn(lambda r: answer(r, 429, b"{}", Retry_After="7"), lambda r: answer(r, 200, b'{"status":"OK"}'))
    assert vendor.polygon().grouped_daily(SESSION).body == b'{"status":"OK"}'
    assert vendor.slept == [7]
    assert vendor.tokens.throttled == [7]
    assert vendor.tokens.taken == 2  # every try is paid for


def test_retry_after_as_a_date_counts_from_the_vendors_clock(vendor):
    vendor.answers(429, b"", Retry_After="Fri, 28 Nov 2025 20:05:30 GMT", Date="Fri, 28 Nov 2025 20:05:00 GMT")
    with pytest.raises(RateLimited) as raised:
        vendor.polygon().grouped_daily(SESSION)
    assert raised.value.retry_after == 30
    assert vendor.slept == [30, 30]  # three tries


def test_a_wait_longer_than_a_minute_is_left_to_the_task(vendor):
    vendor.answers(429, b"", Retry_After="3600")
    with pytest.raises(RateLimited) as raised:
        vendor.polygon().grouped_daily(SESSION)
    assert raised.value.retry_after == 3600
    assert vendor.slept == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_server_errors_are_tried_three_times(vendor, status):
    vendor.answers(status, b"<html><body>Bad Gateway</body></html>")
    with pytest.raises(ServerError, match="Bad Gateway"):
        vendor.reference().sp500()
    assert len(vendor.asked) == 3
    assert len(vendor.slept) == 2


def test_sec_throttle_page_holds_back_everybody_for_ten_minutes_and_is_not_asked_again(vendor):
    # PITFALLS 11: SEC throttles by a 403 page (py-edgar#17), not only by 429
    vendor.answers(403, b"<html><title>SEC.gov | Request Rate Threshold Exceeded</title></html>")
    with pytest.raises(ThrottlePage) as raised:
        vendor.sec().companyfacts(320193)
    assert raised.value.retry_after == 600
    assert vendor.tokens.throttled == [600]
    assert len(vendor.asked) == 1


def test_sec_throttle_page_in_place_of_a_bulk_file_holds_back_everybody_too(vendor, tmp_path):
    vendor.answers(403, b"<html><title>SEC.gov | Request Rate Threshold Exceeded</title></html>")
    with pytest.raises(ThrottlePage):
        vendor.sec(throttle_seconds=5).submissions_zip(tmp_path)
    assert vendor.tokens.throttled == [5]


def test_sec_refusal_for_want_of_a_contact_is_no_throttle(vendor):
    vendor.answers(403, b"<p>Your Request Originates from an Undeclared Automated Tool</p>")
    with pytest.raises(AuthFailed, match="CLOSINGBELL_SEC_CONTACT"):
        vendor.sec().companyfacts(320193)
    assert vendor.tokens.throttled == []


def test_missing_daily_index_is_not_found_though_the_archive_says_access_denied(vendor):
    vendor.answers(403, b"<Error><Code>AccessDenied</Code></Error>")
    with pytest.raises(NotFound):
        vendor.sec().daily_index(SESSION)
    assert vendor.asked[0][0].endswith("/Archives/edgar/daily-index/2025/QTR4/form.20251128.idx")


def test_edgars_feed_is_asked_page_by_page(vendor):
    vendor.answers(200, b'<?xml version="1.0"?><feed/>')
    found = vendor.sec().getcurrent(200)
    assert (found.endpoint, found.key) == ("getcurrent", "page:200")
    path, _, query = vendor.asked[0][0].partition("?")
    assert path.endswith("/cgi-bin/browse-edgar")
    assert {"action=getcurrent", "type=4", "count=100", "start=200", "output=atom"} <= set(query.split("&"))


def test_an_ownership_submission_is_whole_or_an_error(vendor):
    vendor.answers(200, b"<SEC-DOCUMENT>0001-25.txt\n<DOCUMENT></DOCUMENT>\n</SEC-DOCUMENT>\n")
    found = vendor.sec().ownership(320193, "0000320193-25-000001")
    assert (found.endpoint, found.key) == ("ownership", "0000320193-25-000001")
    assert vendor.asked[0][0].endswith("/Archives/edgar/data/320193/0000320193-25-000001.txt")
    vendor.answers(200, b"<SEC-DOCUMENT>0001-25.txt\n<DOCUMENT><XML>")
    with pytest.raises(ServerError, match="cut short"):
        vendor.sec().ownership(320193, "0000320193-25-000001")
    with pytest.raises(ValueError, match="no accession number"):
        vendor.sec().ownership(320193, "../../etc/passwd")


def test_polygon_before_its_end_of_day_is_not_yet(vendor):
    said = b'{"status":"NOT_AUTHORIZED","message":"Attempted to request today\'s data before end of day."}'
    vendor.answers(403, said)
    with pytest.raises(NotYet) as raised:
        vendor.polygon().grouped_daily(SESSION)
    assert raised.value.retry_after == 900


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"status":"NOT_AUTHORIZED","message":"upgrade"}', AuthFailed),
        (b'{"status":"ERROR","error":"odd"}', BadAnswer),
        (b"[1]", BadAnswer),
    ],
)
def test_polygon_refuses_inside_a_200(vendor, body, error):
    vendor.answers(200, body)
    with pytest.raises(error):
        vendor.polygon().grouped_daily(SESSION)


def test_delayed_plan_is_an_answer(vendor):
    vendor.answers(200, b'{"status":"DELAYED","results":[]}')
    assert vendor.polygon().grouped_daily(SESSION).body


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"Note":"Thank you for using Alpha Vantage"}', BadAnswer),  # PITFALLS 27: 200 with a Note
        (b'{"Information":"premium endpoint"}', BadAnswer),
        (b'{"detail":"Error: You have run over your hourly request allocation."}', RateLimited),
        (b"You have run over your hourly request allocation. Please upgrade", RateLimited),
        # hydrosquall/tiingo-python#45: 200 and one line of text; asking for the next ticker ends the same way
        (b"You have run over your 500 symbol look up for this month. Please upgrade", AuthFailed),
        (b"<!DOCTYPE html><html>sign in</html>", BadAnswer),
    ],
)
def test_a_note_in_place_of_data_is_no_answer(vendor, body, error):
    vendor.answers(200, body)
    with pytest.raises(error):
        vendor.tiingo().daily_prices("A", SESSION, SESSION)


# -- broken answers ----------------------------------------------------------------------------------------------------


def _cut_connection(request):
    body = b'{"results":[1,2,3]}'
    request.close_connection = True
    answer(request, 200, body, Content_Length=str(len(body) + 50))


def _cut_json(request):
    answer(request, 200, b'{"results":[1,2,')


def _cut_gzip(request):
    body = gzip.compress(b'{"results":[' + b"1," * 5000 + b"1]}")[:-9]
    answer(request, 200, body, Content_Encoding="gzip", Content_Length=str(len(body)))


def _broken_gzip(request):
    answer(request, 200, b"\x1f\x8b\x08 no gzip at all", Content_Encoding="gzip")


@pytest.mark.parametrize("cut", [_cut_connection, _cut_json, _cut_gzip, _broken_gzip])
def test_truncated_body_is_asked_again(vendor, cut):
    vendor.in_turn(cut, lambda r: answer(r, 200, b'{"results":[1]}'))
    assert vendor.polygon().grouped_daily(SESSION).body == b'{"results":[1]}'
    assert len(vendor.asked) == 2


def _broken_gzip(request):
    answer(request, 200, b"\x1f\x8b\x08 no gzip at all", Content_Encoding="gzip")


@pytest.mark.parametrize("cut", [_cut_connection, _cut_json, _cut_gzip, _broken_gzip])
def test_body_that_stays_truncated_is_a_server_error(vendor, cut):
    vendor.script = cut
    with pytest.raises(ServerError):
        vendor.polygon().grouped_daily(SESSION)
    assert len(vendor.asked) == 3


def test_silence_is_a_server_error(vendor):
    def silent(request):
        request.rfile.read(1)  # nothing more comes; returns when the client has given up

    vendor.script = silent
    with pytest.raises(ServerError, match="in time"):
        vendor.polygon(timeout_seconds=0.2).grouped_daily(SESSION)


def test_connection_refused_is_a_server_error():
    hook = Polygon(Endpoint("polygon", "http://127.0.0.1:9", password=SECRET), sleep=lambda seconds: None)
    with pytest.raises(ServerError):
        hook.grouped_daily(SESSION)


def test_oversize_is_refused_packed_or_plain(vendor, monkeypatch):
    bomb = gzip.compress(b"[" + b" " * 3_000_000 + b"]")
    assert len(bomb) < 10_000
    get = client_module.Client.get
    monkeypatch.setattr(
        client_module.Client, "get", lambda self, url, **k: get(self, url, **{**k, "max_bytes": 50_000})
    )
    for body, headers in ((bomb, {"Content_Encoding": "gzip"}), (b"[" + b" " * 60_000 + b"]", {})):
        vendor.answers(200, body, **headers)
        with pytest.raises(BadAnswer, match="more than 50,000 bytes"):
            vendor.tiingo().daily_prices("A", SESSION, SESSION)


# -- hosts ---------------------------------------------------------------------------------------------------------


def test_redirects_are_refused_not_followed(vendor):
    vendor.answers(302, b"", Location="http://169.254.169.254/latest?token=abc")
    with pytest.raises(BadAnswer, match=r"redirects to 169\.254\.169\.254"):
        vendor.polygon().grouped_daily(SESSION)
    assert len(vendor.asked) == 1


def test_next_url_of_another_host_is_refused(vendor):
    vendor.answers(200, b'{"status":"OK","next_url":"https://evil.example/v3/reference/tickers?cursor=x"}')
    with pytest.raises(BadAnswer, match=r"evil\.example"):
        list(vendor.polygon().tickers(active=True))
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("path", ["/../../secrets", "/v3/../../x", "//evil.example/v3/x", "/v3/x%0d%0a"])
def test_next_url_with_an_odd_path_is_refused(vendor, path):
    vendor.answers(200, json.dumps({"next_url": f"https://api.polygon.io{path}?cursor=x"}).encode())
    with pytest.raises(BadAnswer):
        list(vendor.polygon().tickers(active=True))
    assert len(vendor.asked) == 1


def test_pages_are_followed_on_the_connections_own_host_with_the_cursor_alone(vendor):
    first = b'{"results":[1],"next_url":"https://api.polygon.io/v3/reference/splits?cursor=abc&apiKey=leak"}'
    vendor.in_turn(lambda r: answer(r, 200, first), lambda r: answer(r, 200, b'{"results":[2]}'))
    pages = list(vendor.polygon().splits(date(2025, 1, 1), SESSION))
    assert [page.key for page in pages] == ["2025-01-01:2025-11-28:1", "2025-01-01:2025-11-28:2"]
    assert vendor.asked[1][0] == "/v3/reference/splits?cursor=abc"


def test_a_cursor_that_comes_back_ends_the_paging(vendor):
    vendor.answers(200, b'{"next_url":"https://api.massive.com/v3/reference/tickers?cursor=same"}')
    with pytest.raises(BadAnswer, match="already read"):
        list(vendor.polygon().tickers(active=False))


def test_yahoo_session_reaches_no_other_host_and_follows_no_redirect(vendor):
    from curl_cffi.requests.exceptions import InvalidURL

    session = bound_session(vendor.url, vendor.tokens)
    vendor.answers(302, b"", Location="http://169.254.169.254/")
    assert session.get(f"{vendor.url}/x", allow_redirects=True).status_code == 302
    assert session.get("https://fc.yahoo.com/").status_code == 302  # played here, as every host of Yahoo is
    with pytest.raises(InvalidURL):
        session.get("https://evil.example/")
    assert [path for path, _ in vendor.asked] == ["/x", "/"]
    assert vendor.tokens.taken == 2
    live = bound_session("https://query2.finance.yahoo.com", None)
    for url in ("http://query2.finance.yahoo.com/", "https://finance.yahoo.com.evil.example/", vendor.url):
        with pytest.raises(InvalidURL):
            live.get(url)


@pytest.mark.parametrize(
    "host", ["ftp://a.example", "https://user:pw@a.example", "https://a.example/?key=1", "a.example"]
)
def test_an_endpoint_is_a_plain_url(host):
    with pytest.raises(ValueError, match="connection polygon"):
        Endpoint("polygon", host)


# -- secrets ---------------------------------------------------------------------------------------------------------

OUTCOMES: list[tuple[int, bytes]] = [
    (200, b"{}"),
    (200, f'{{"detail":"your token {SECRET} has run over your limit"}}'.encode()),
    (200, f'{{"status":"ERROR","error":"apiKey={SECRET}"}}'.encode()),
    (302, b""),
    (400, f"<p>bad request for {SECRET}</p>".encode()),
    (401, f'{{"error":"Unknown API Key {SECRET}"}}'.encode()),
    (403, f"forbidden: token={SECRET}".encode()),
    (404, SECRET.encode()),
    (429, SECRET.encode()),
    (503, SECRET.encode()),
]


@pytest.mark.parametrize(("status", "body"), OUTCOMES)
def test_no_secret_in_exception_traceback_log_url_or_answer(vendor, tmp_path, caplog, status, body):
    caplog.set_level(logging.DEBUG)
    vendor.answers(status, body, Location=f"{vendor.url}/?apiKey={SECRET}")
    polygon, tiingo, sec = vendor.polygon(), vendor.tiingo(), vendor.sec()
    benzinga = Benzinga(vendor.endpoint("benzinga"), vendor.tokens, sleep=vendor.slept.append)
    asks: list[Callable[[], Any]] = [
        lambda: polygon.grouped_daily(SESSION),
        lambda: list(polygon.tickers(True)),
        lambda: tiingo.daily_prices("A", SESSION, SESSION),
        lambda: list(benzinga.ratings(["A"], first=SESSION, last=SESSION)),
        lambda: list(benzinga.removed(None)),
        benzinga.test,
        lambda: sec.companyfacts(1),
        lambda: sec.companyfacts_zip(tmp_path),
        lambda: vendor.reference().sp500(),
        lambda: vendor.yahoo(tmp_path).chart("A", SESSION, SESSION),
        polygon.test,
        tiingo.test,
    ]
    for ask in asks:
        try:
            got = ask()
            # the body is the vendor's own and lands as it came; what we say of it is ours
            shown = repr(replace(got, body=b"") if isinstance(got, Answer) else got)
        except VendorError as error:
            shown = "".join(traceback.format_exception(error)) + repr(error) + str(pickle.loads(pickle.dumps(error)))
            chain: BaseException | None = error
            while chain is not None:
                assert not hasattr(chain, "request"), "a chained httpx error would carry the headers"
                chain = chain.__cause__
        assert SECRET not in shown
    assert SECRET not in caplog.text
    # (what this vendor says is also taken for Yahoo's crumb, which goes back to it)
    assert all(SECRET not in path for path, _ in vendor.asked if "finance/chart" not in path)
    assert SECRET not in repr(vendor.endpoint("polygon"))


def test_quota_key_says_nothing_of_the_key():
    keyed = quota_key(Endpoint("polygon", "https://api.massive.com", password=SECRET))
    assert len(keyed) == 8
    assert keyed not in SECRET
    assert quota_key(Endpoint("sec_edgar", "https://www.sec.gov")) == "all"  # SEC's limit is over all machines


@pytest.mark.parametrize(
    ("vendor_name", "plan", "window_seconds", "most"),
    [
        ("polygon", None, 60, 6),  # free: 5 a minute; a GCRA lets burst + rate x window through, edges included
        ("tiingo", None, 3600, 50),  # free: 50 an hour
        ("sec_edgar", None, 1, 10),  # SEC throttles at 10 a second
    ],
)
def test_the_smallest_plan_is_the_default_and_stays_under_the_vendors_limit(vendor_name, plan, window_seconds, most):
    allowed = allowance(vendor_name, plan)
    assert allowed.burst + allowed.per_second * window_seconds <= most


def test_an_unknown_plan_lists_the_plans():
    with pytest.raises(ValueError, match="free, starter"):
        allowance("polygon", "gold")


# -- Yahoo -----------------------------------------------------------------------------------------------------------


def test_yahoo_chart_is_fetched_by_yfinance_from_our_host_with_our_cache(vendor, tmp_path):
    body = b'{"chart": {"result": [{"meta": {}}], "error": null}}'

    def script(request):
        answer(request, 200, b"crumb" if "getcrumb" in request.path else body, Content_Type="text/plain")

    vendor.script = script
    hook = vendor.yahoo(tmp_path)
    got = hook.chart("BRK-B", date(2025, 11, 28), date(2025, 12, 1))
    assert got.body == body
    assert got.key == "BRK-B:2025-11-28:2025-12-01"
    # New York midnights: 2025-11-28 05:00 UTC, and the day after the last one
    assert (got.request["params"]["period1"], got.request["params"]["period2"]) == (1764306000, 1764651600)
    assert "crumb" not in got.request["params"]
    assert vendor.asked[-1][0].startswith("/v8/finance/chart/BRK-B?period1=1764306000")
    assert vendor.tokens.taken == len(vendor.asked)  # cookie and crumb are requests too


def test_possibly_delisted_is_not_found_and_no_evidence(vendor, tmp_path):
    # PITFALLS 23: yfinance#2128, #2328
    error = b'{"chart":{"result":null,"error":{"code":"Not Found","description":"symbol may be delisted"}}}'
    vendor.answers(404, error)
    with pytest.raises(NotFound, match="no evidence of delisting"):
        vendor.yahoo(tmp_path).chart("GONE", SESSION, SESSION)


def test_yahoo_429_is_rate_limited_and_cut_body_a_server_error(vendor, tmp_path):
    vendor.answers(429, b"Too Many Requests")
    with pytest.raises(RateLimited):
        vendor.yahoo(tmp_path).chart("A", SESSION, SESSION)
    vendor.answers(200, b'{"chart":{"result":[')
    with pytest.raises(ServerError):
        vendor.yahoo(tmp_path).chart("A", SESSION, SESSION)


# -- bulk files ------------------------------------------------------------------------------------------------------


def test_bulk_zip_is_whole_or_absent(vendor, tmp_path):
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("CIK0000320193.json", "{}" * 1000)
    whole = packed.getvalue()
    vendor.in_turn(lambda r: answer(r, 200, whole[:-20]), lambda r: answer(r, 200, whole))
    got = vendor.sec().companyfacts_zip(tmp_path)
    assert isinstance(got.body, Path)
    assert got.body.read_bytes() == whole
    vendor.answers(200, whole[:-20])
    with pytest.raises(ServerError, match="no whole zip"):
        vendor.sec().submissions_zip(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["companyfacts.zip"]
