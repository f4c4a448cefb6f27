"""The hooks of news: no key shows, robots.txt is obeyed, only declared hosts are asked, nothing large is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from closingbell.connections import ConnectionMissing, Endpoint
from closingbell.hooks.errors import AuthFailed, BadAnswer, RateLimited, ServerError
from closingbell.hooks.gemini import Gemini
from closingbell.hooks.marketaux import Marketaux
from closingbell.hooks.web import Web
from closingbell.news.pages import MAX_BYTES, sources
from closingbell.news.robots import allows
from closingbell.warehouse.quota import QuotaExhausted

SECRET = "s3cr3t-KEY-0123456789"
SINCE = datetime(2025, 12, 5, tzinfo=UTC)
SOURCE = sources()[1]


class Vendor:
    """Answers by script and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.script: Callable[[httpx.Request], httpx.Response] = lambda request: httpx.Response(200, json={})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        response = self.script(request)
        if response.is_stream_consumed:  # made of whole bytes: to be read as they come from a network
            return httpx.Response(
                response.status_code, headers=response.headers, stream=httpx.ByteStream(response.content)
            )
        return response

    def played(self, hook: Any) -> Any:
        """The hook, whose requests come here in place of the network."""
        own = hook.client._http
        hook.client._http = httpx.Client(
            transport=httpx.MockTransport(self), headers=own.headers, params=own.params, follow_redirects=False
        )
        return hook


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


def marketaux(vendor: Vendor, **extra: Any) -> Marketaux:
    endpoint = Endpoint("marketaux", "https://api.marketaux.com", password=SECRET, extra=extra)
    return vendor.played(Marketaux(endpoint, sleep=lambda seconds: None))


def web(vendor: Vendor, **extra: Any) -> Web:
    return vendor.played(Web(Endpoint("web", "https://example.org", extra=extra), sleep=lambda seconds: None))


def test_marketaux_takes_its_key_in_the_query_and_no_answer_or_error_shows_it(vendor):
    vendor.script = lambda request: httpx.Response(200, json={"meta": {"found": 1, "returned": 1}, "data": []})
    (answer,) = marketaux(vendor).news("AAPL", SINCE)
    assert vendor.asked[0].url.params["api_token"] == SECRET
    assert vendor.asked[0].url.params["limit"] == "3"
    # with it a story names only the symbol asked for, whose relevance against the best match would always be 1
    assert "filter_entities" not in vendor.asked[0].url.params
    assert SECRET not in str(answer)
    assert answer.key == "AAPL@2025-12-05T00:00:00:1"
    vendor.script = lambda request: httpx.Response(401, text=f"bad api_token={SECRET} in {request.url}")
    with pytest.raises(AuthFailed) as caught:
        list(marketaux(vendor).news("AAPL", SINCE))
    assert SECRET not in str(caught.value)
    vendor.script = _broken
    with pytest.raises(ServerError) as broken:
        list(marketaux(vendor).news("AAPL", SINCE))
    assert SECRET not in str(broken.value)
    assert broken.value.__cause__ is None


def _broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"no route to {request.url}")


def test_marketaux_pages_until_all_that_it_found_is_here(vendor):
    vendor.script = lambda request: httpx.Response(200, json={"meta": {"found": 7, "returned": 3}, "data": []})
    assert len(list(marketaux(vendor).news("AAPL", SINCE))) == 3
    assert "published_before" not in vendor.asked[-1].url.params
    (answer,) = marketaux(vendor).news("AAPL", SINCE, SINCE + timedelta(hours=8), pages=1)
    assert vendor.asked[-1].url.params["published_before"] == "2025-12-05T08:00:00"
    assert answer.key == "AAPL@2025-12-05T00:00:00..2025-12-05T08:00:00:1"


def test_marketaux_402_is_the_day_spent_and_429_the_minute(vendor):
    vendor.script = lambda request: httpx.Response(402, json={"error": {"code": "usage_limit_reached"}})
    with pytest.raises(QuotaExhausted) as spent:
        list(marketaux(vendor).news("AAPL", SINCE))
    assert (spent.value.resets_at.hour, spent.value.resets_at.minute) == (0, 0)
    assert len(vendor.asked) == 1, "asking again does not help"
    vendor.script = lambda request: httpx.Response(429, json={"error": {"code": "rate_limit_reached"}})
    with pytest.raises(RateLimited):
        list(marketaux(vendor).news("AAPL", SINCE))


def test_gemini_posts_the_body_once_with_the_key_in_a_header(vendor):
    hook = vendor.played(Gemini(Endpoint("gemini", "https://generativelanguage.googleapis.com", password=SECRET)))
    answer = hook.generate_content({"contents": []}, "7:1")
    (asked,) = vendor.asked
    assert asked.method == answer.request["method"] == "POST"
    assert asked.url.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert asked.headers["x-goog-api-key"] == SECRET
    assert json.loads(asked.content) == {"contents": []}
    assert SECRET not in str(asked.url) + str(answer)
    endpoint = Endpoint("gemini", "https://x.example.org", password=SECRET, extra={"model": "gemini-3-flash"})
    vendor.played(Gemini(endpoint)).generate_content({"contents": []}, "7:1")
    assert vendor.asked[-1].url.path == "/v1beta/models/gemini-3-flash:generateContent"


@pytest.mark.parametrize("hook", [Gemini, Marketaux])
def test_without_a_key_the_error_says_where_it_goes(hook):
    with pytest.raises(ConnectionMissing, match="put it in the password, or set"):
        hook(Endpoint("x", "https://example.org"))


def pages_of(robots: httpx.Response, page: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: robots if request.url.path == "/robots.txt" else page


def test_a_page_is_asked_for_after_its_hosts_robots_txt(vendor):
    vendor.script = pages_of(httpx.Response(200, text="User-agent: *\nAllow: /"), httpx.Response(200, text="<html>"))
    hook = web(vendor, contact="ops@example.org")
    assert hook.page(SOURCE).body == b"<html>"
    hook.page(SOURCE)
    assert [request.url.path for request in vendor.asked].count("/robots.txt") == 1
    assert all(request.url.host == SOURCE.host for request in vendor.asked)
    assert vendor.asked[0].headers["user-agent"] == "ClosingBell/1.0 (+mailto:ops@example.org)"


def test_what_robots_txt_forbids_is_never_asked_for(vendor):
    rules = "User-agent: ClosingBell\nDisallow: /news-releases/\n\nUser-agent: *\nAllow: /"
    vendor.script = pages_of(httpx.Response(200, text=rules), httpx.Response(200, text="<html>"))
    with pytest.raises(BadAnswer, match=r"web page prnewswire: robots\.txt of www\.prnewswire\.com forbids"):
        web(vendor).page(SOURCE)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("User-agent: *\nDisallow: /news-releases/*", "/news-releases/list/", False),
        ("User-agent: *\nDisallow: /*/list/$", "/news-releases/list/", False),
        ("User-agent: *\nDisallow: /*/list/$", "/news-releases/list/2", True),
        ("User-agent: *\nDisallow: /*?page=", "/list?page=2", False),
        ("User-agent: *\nDisallow: /\nAllow: /news", "/newsroom", True),  # the longest rule, not the first
        ("User-agent: *\nAllow: /\nDisallow: /news", "/newsroom", False),
        ("User-agent: *\nDisallow: /news\nAllow: /news", "/newsroom", True),
        ("User-agent: ClosingBell/1.0\nDisallow: /\n\nUser-agent: *\nAllow: /", "/x", False),
        ("User-agent: a\nUser-agent: closingbell\nDisallow: /x", "/x", False),  # one group of two agents
        (
            "User-agent: closingbell\nCrawl-delay: 9\n\nUser-agent: *\nDisallow: /",
            "/x",
            False,
        ),  # its delay ends no group
        ("User-agent: closingbell\nDisallow: /a\n\nUser-agent: closingbell\nDisallow: /b", "/b", False),
        ("\ufeffUser-agent: *  # all\nDisallow: /x # no", "/x", False),
        ("User-agent: *\nDisallow:", "/x", True),
        ("User-agent: *\nDisallow: /caf%C3%A9", "/caf\u00e9", False),
        ("User-agent: *\nDisallow: " + "/*a" * 400 + "$", "/" + "a/" * 5000, True),  # without an end in a regex
        ("<html>not found</html>", "/x", True),
    ],
)
def test_robots_rules_of_rfc_9309(rules, path, allowed):
    assert allows(rules, "ClosingBell", f"https://www.example.org{path}") is allowed


def test_no_robots_txt_allows_and_one_that_cannot_be_read_does_not(vendor):
    vendor.script = pages_of(httpx.Response(404), httpx.Response(200, text="<html>"))
    assert web(vendor).page(SOURCE).body == b"<html>"
    vendor.script = pages_of(httpx.Response(503), httpx.Response(200, text="<html>"))
    with pytest.raises(ServerError):
        web(vendor).page(SOURCE)


def test_a_page_that_redirects_elsewhere_is_not_followed(vendor):
    moved = httpx.Response(302, headers={"location": "https://evil.example/"})
    vendor.script = pages_of(httpx.Response(404), moved)
    with pytest.raises(BadAnswer, match=r"redirects to evil\.example; redirects are not followed"):
        web(vendor).page(SOURCE)
    assert {request.url.host for request in vendor.asked} == {SOURCE.host}


def test_a_page_of_fifty_megabytes_is_refused_while_it_streams(vendor):
    sent = []

    def endless():
        for number in range(800):
            sent.append(number)
            yield b"<p>" * 21_845

    vendor.script = pages_of(httpx.Response(404), httpx.Response(200, content=endless()))
    with pytest.raises(BadAnswer, match="more than 4,000,000 bytes; refused"):
        web(vendor).page(SOURCE)
    assert len(sent) * 65_535 < 2 * MAX_BYTES


def test_a_host_that_no_source_declares_is_never_asked(vendor):
    with pytest.raises(BadAnswer, match="is no host of this connection"):
        web(vendor).client.get("https://evil.example/", endpoint="page", key="x", promise="page")
    assert vendor.asked == []


def test_a_page_that_is_gone_is_named(vendor):
    vendor.script = pages_of(httpx.Response(404), httpx.Response(410))
    with pytest.raises(BadAnswer, match=r"web page prnewswire \(HTTP 410\): the page is not there any more; correct"):
        web(vendor).page(SOURCE)
