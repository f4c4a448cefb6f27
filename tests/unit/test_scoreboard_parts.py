"""The scoreboard without a warehouse: who may look, the way in, which rows in which order, how numbers read."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.routing import Route

from closingbell.api import keys, main, scoreboard
from closingbell.api.scoreboard import board, coverage, stock
from closingbell.api.scoreboard.board import Wanted, chosen
from closingbell.scores.compute import RATINGS
from closingbell.scores.factors import FACTORS, METRICS
from closingbell.settings import settings

KEY = "cb_of_a_test"
FOLDER = scoreboard.Path(scoreboard.__file__).parent


class Answers:
    """Stands for the warehouse: one key, one session, no rows."""

    async def rows(self, name: str, /, **params: Any) -> list[dict[str, Any]]:
        day = date(2025, 12, 5)
        return {
            "api_keys": [{"key_id": 1, "name": "test", "tier": "pro", "sha256": keys.hashed(KEY)}],
            "api_board_session": [
                {"session": day, "oldest": day, "newest": day, "before": None, "after": None}
                | {"known_at": datetime(2025, 12, 5, 21, tzinfo=UTC)}
            ],
        }.get(name, [])

    async def row(self, name: str, /, **params: Any) -> dict[str, Any] | None:
        return next(iter(await self.rows(name)), None)

    async def close(self) -> None: ...


@pytest.fixture(scope="module")
def app() -> Any:
    app = main.make_app()
    main.remember(app, Answers())  # type: ignore[arg-type]
    app.state.stale = coverage.Kept(lambda session: ["ratings came late", "news came late"], 60)
    return app


@pytest.fixture
def client(app: Any) -> TestClient:
    return TestClient(app, follow_redirects=False)


def with_cookie(client: TestClient) -> TestClient:
    client.cookies.set(scoreboard.COOKIE, KEY)
    return client


def test_a_stale_board_says_so(client):
    text = with_cookie(client).get("/scoreboard").text
    assert "Stale: ratings came late; news came late. <code>reconcile</code> scores the session again." in text


@pytest.mark.parametrize("day", ["0", "1764892800", "2025-13-01"])
def test_a_session_of_the_board_is_a_day(client, day):
    assert with_cookie(client).get(f"/scoreboard?session={day}").status_code == 422


# -- who may look -----------------------------------------------------------------------------------------------------


def test_no_page_answers_without_a_key(client):
    pages = [route for route in client.app.routes if isinstance(route, Route) and "/scoreboard" in route.path]
    assert len(pages) >= 7
    for route in pages:
        for method in route.methods or ():
            path = re.sub(r"\{\w+\}", "AAPL", route.path)
            answer = client.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert "Sign in" in answer.text or method == "HEAD"
            assert answer.headers["cache-control"] == "no-store"


def test_a_key_in_the_cookie_is_a_key(client):
    assert with_cookie(client).get("/scoreboard").status_code == 200
    client.cookies.set(scoreboard.COOKIE, "cb_guessed")
    assert client.get("/scoreboard").status_code == 401


@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [
        ("/scoreboard/stocks/AAPL?session=2025-12-05", "/scoreboard/stocks/AAPL?session=2025-12-05"),
        ("/scoreboard", "/scoreboard"),
        ("https://evil.example/scoreboard", "/scoreboard"),
        ("//evil.example/scoreboard", "/scoreboard"),
        ("/\\evil.example/scoreboard", "/scoreboard"),
        ("/scoreboard/\\evil.example", "/scoreboard"),
        ("/scoreboardevil", "/scoreboard"),
        ("javascript:alert(1)", "/scoreboard"),
        ("", "/scoreboard"),
    ],
)
def test_a_right_key_leads_to_the_page_that_was_wanted_and_to_no_other_host(client, wanted, led_to):
    answer = client.post("/scoreboard/sign-in", data={"key": KEY, "following": wanted})
    assert (answer.status_code, answer.headers["location"]) == (303, led_to)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{scoreboard.COOKIE}={KEY};")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" in TestClient(client.app, base_url="https://host", follow_redirects=False).post(
        "/scoreboard/sign-in", data={"key": KEY}
    ).headers["set-cookie"].split("; ")


def test_a_wrong_key_and_a_form_without_end_are_refused(client):
    for form in ({"key": "cb_guessed"}, {"key": ""}, {}, {"key": "\x00\ud7ff"}):
        answer = client.post("/scoreboard/sign-in", data=form)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert client.post("/scoreboard/sign-in", data={"key": "x" * 5000}).status_code == 413


def test_signing_out_forgets_the_key(client):
    answer = with_cookie(client).post("/scoreboard/sign-out")
    assert answer.status_code == 303
    assert re.search(rf'^{scoreboard.COOKIE}="";.*Max-Age=0', answer.headers["set-cookie"])


# -- pages ------------------------------------------------------------------------------------------------------------


def test_pages_load_nothing_from_another_host_and_are_not_sent_again_unchanged(client):
    with_cookie(client)
    answer = client.get("/scoreboard")
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*?(?:src|href)="([^"]+)"', answer.text)
    assert loaded
    assert all(address.startswith(("/scoreboard/static/", "data:")) for address in loaded)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http" not in answer.headers["content-security-policy"]
    again = client.get("/scoreboard", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in [path for path in loaded if not path.startswith("data:")]:
        script = client.get(path)
        assert script.status_code == 200
        assert "immutable" in script.headers["cache-control"]
    assert client.get("/scoreboard/static/x/..%2Froutes.py").status_code == 404


def test_pages_and_downloads_are_compressed_for_who_takes_that(client, monkeypatch):
    with_cookie(client)
    monkeypatch.setattr(scoreboard, "PACKED_FROM", 10)
    for path in ("/scoreboard", "/scoreboard/board.csv"):
        packed = client.get(path, headers={"Accept-Encoding": "gzip"})
        plain = client.get(path, headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content
        assert "Accept-Encoding" in packed.headers["vary"]
        assert "Accept-Encoding" in plain.headers["vary"]


def test_an_error_of_a_page_is_a_page(client):
    with_cookie(client)
    for path, status in (
        ("/scoreboard/stocks/ZZZZ", 404),
        ("/scoreboard?sector=Luck", 422),
        ("/scoreboard?sort=1;--", 422),
        ("/scoreboard?page=0", 422),
        ("/scoreboard/stocks/A'--", 422),
    ):
        answer = client.get(path)
        assert answer.status_code == status, path
        assert answer.headers["content-type"].startswith("text/html")
        assert 'href="/scoreboard/coverage"' in answer.text, "it leads on"
        assert ("Nothing to show" if status == 404 else "That cannot be shown") in answer.text
    assert (
        client.get("/api/scores/ZZZZ", headers={"X-API-Key": KEY})
        .headers["content-type"]
        .startswith("application/problem")
    )


def test_a_score_that_is_made_again_between_two_statements_is_no_error():
    """Evidence is told of a metric that the inputs, read before, do not have."""

    class Between(Answers):
        async def rows(self, name: str, /, **params: Any) -> list[dict[str, Any]]:
            told = {"api_evidence_told": [{"metric": "roe", "key": "1", "title": "told"}]}
            return told.get(name) or await super().rows(name)

    day = {"session": date(2025, 12, 5), "known_at": datetime(2025, 12, 5, 21, tzinfo=UTC)}
    found = asyncio.run(stock.facts(Between(), {"security_id": 1, "cik": 1}, day))  # type: ignore[arg-type]
    assert found["score"] is None


def test_what_is_simulated_is_called_so(client, monkeypatch):
    with_cookie(client)
    assert "Simulated market" not in client.get("/scoreboard").text
    monkeypatch.setenv("CLOSINGBELL_SIMULATED", "true")
    settings.cache_clear()
    assert "Simulated market" in client.get("/scoreboard").text
    settings.cache_clear()


def test_no_template_writes_what_it_was_given_unescaped():
    """But for the style sheet, which is ours."""
    for path in FOLDER.glob("*.html"):
        assert re.findall(r"\|\s*safe", path.read_text()) == (["| safe"] if path.name == "base.html" else []), path.name
    text = (
        scoreboard._environment()
        .get_template("failure.html")
        .render(
            root="",
            api="",
            path="",
            script="",
            signed_in=False,
            simulated=False,
            style="",
            title="<scrip>",
            detail='"><img src=x>',
        )
    )
    assert "&lt;scrip&gt;" in text
    assert "<scrip>" not in text
    assert "<img" not in text


# -- rows -------------------------------------------------------------------------------------------------------------


def row(place: int, ticker: str | None, score: float, **other: Any) -> dict[str, Any]:
    return (
        dict.fromkeys(board.COLUMNS)
        | {"place": place, "ticker": ticker, "company_name": f"{ticker} Company", "overall_score": score}
        | {"score_before": None, "sector": "Energy", "rating": "Hold", "confidence": "High"}
        | other
    )


ROWS = [
    row(1, "BB", 90.0, growth=10.0, score_before=91.5, rating="Strong Buy"),
    row(2, "aa", 80.0, growth=None, score_before=70.0, sector="Utilities", rating="Strong Buy"),
    row(3, "CC", 70.0, growth=50.0, company_name="Müller & Sons", confidence="Low"),
    row(4, None, 60.0, growth=50.0, company_name=None, sector=None),
]


@pytest.mark.parametrize(
    ("asked", "places"),
    [
        ({}, [1, 2, 3, 4]),
        ({"order": "worst"}, [4, 3, 2, 1]),
        ({"sort": "growth"}, [3, 4, 1, 2]),
        ({"sort": "growth", "order": "worst"}, [1, 3, 4, 2]),
        ({"sort": "ticker"}, [2, 1, 3, 4]),
        ({"sort": "ticker", "order": "worst"}, [3, 1, 2, 4]),
        ({"sort": "change"}, [2, 1, 3, 4]),
        ({"sector": "energy"}, [1, 3]),
        ({"sector": "", "rating": "", "q": "", "min_score": ""}, [1, 2, 3, 4]),
        ({"rating": "Strong Buy", "min_score": "85"}, [1]),
        ({"confidence": "Low"}, [3]),
        ({"q": "MÜLLER sons"}, [3]),
        ({"q": "aa"}, [2]),
        ({"q": "nobody"}, []),
    ],
)
def test_rows_are_chosen_and_ordered_as_asked(asked, places):
    assert [found["place"] for found in chosen(ROWS, Wanted.model_validate(asked))] == places


def test_the_change_is_that_since_the_session_before():
    assert [found["change"] for found in chosen(ROWS, Wanted())] == [-1.5, 10.0, None, None]


def test_every_rating_can_be_asked_for():
    assert (*(name for _, name in RATINGS), "Sell") == board.RATING_NAMES
    for rating in board.RATING_NAMES:
        assert Wanted(rating=rating).asked() == {"rating": rating}  # type: ignore[arg-type]


def test_the_download_has_every_column_and_no_formula():
    rows = chosen([row(1, "=1+1", 90.0, company_name="@evil", change=-1.0, session=date(2025, 12, 5))], Wanted())
    (told,) = csv.DictReader(io.StringIO(board.as_csv(rows)))
    assert set(told) == set(board.COLUMNS)
    assert {factor.name for factor in FACTORS} <= set(told)
    assert (told["ticker"], told["company_name"]) == ("'=1+1", "'@evil")
    assert (told["overall_score"], told["session"]) == ("90.0", "2025-12-05")


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"), (0.0, "$0.00"), (9_999.0, "$9,999.00"), (45_700.0, "$45.7K"), (2.74e9, "$2.74B"),
        (-115_100.0, "−$115.1K"), (999_999_999.0, "$1.00B"), (4.12e12, "$4.12T"),
    ],
)  # fmt: skip
def test_money_reads_in_words_of_thousands(value, words):
    assert scoreboard.money(value) == words
    assert scoreboard.money(value, "CAD") == words.replace("$", "")


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        ("return_1m", 0.09874, "9.87%"), ("insider_buying_90d", -4.165e-05, "−0.0042%"), ("roe", 0.0, "0"),
        ("revenue_growth", 12.5, "1,250.00%"), ("analyst_firms", 12.0, "12"),
        ("institutional_holders", 1234.0, "1,234"),
        ("debt_to_equity", 0.2163, "0.22"), ("news_sentiment_7d", -0.0749, "−0.075"),
        ("trend_strength", 42.04, "42.04"),
        ("current_ratio", None, "–"), ("insider_buying_30d", 1e-12, "0.000000000%"),
    ],
)  # fmt: skip
def test_a_metrics_value_is_written_as_what_it_is(metric, value, words):
    assert scoreboard.value_of(value, metric) == words


def test_every_percentage_and_count_is_a_metric():
    assert set(METRICS) >= scoreboard._PERCENT | scoreboard._COUNTS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("return_1m", "Return, 1 month"), ("insider_buying_90d", "Insider buying, 90 days"), ("roe", "ROE"),
        ("analyst_consensus", "Analysts"), ("valuation_ratios", "Valuation ratios"), ("eps_growth", "EPS growth"),
    ],
)  # fmt: skip
def test_names_are_words(name, words):
    assert scoreboard.title_of(name) == words


def test_moments_are_new_yorks_as_sessions_are():
    assert scoreboard.at(datetime(2025, 12, 5, 21, tzinfo=UTC)) == "2025-12-05 16:00 ET"
    assert scoreboard.at(None) == "–"


@pytest.mark.parametrize(("score", "colour"), [(None, ""), (0.0, "h0"), (9.99, "h0"), (50.0, "h5"), (100.0, "h9")])
def test_percentiles_have_ten_colours(score, colour):
    assert scoreboard.heat(score) == colour
