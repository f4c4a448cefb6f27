"""The API without a warehouse: who may ask, what is refused before anything is asked, and how answers are kept."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from closingbell.api import keys, main, models
from closingbell.api.keys import Caller, Keys, Rates, Tier
from closingbell.api.reads import Reads, Unavailable, _compiled, address
from closingbell.scores.factors import FACTORS
from closingbell.settings import REPOSITORY
from closingbell.warehouse import db
from closingbell.warehouse.tables import TABLES

KEY = {"X-API-Key": "cb_of_a_test"}
SECURITY = {
    "security_id": 1001, "cik": 1, "ticker": "META", "company_name": "Meta", "session": date(2025, 12, 5),
    "newest": date(2025, 12, 5),
}  # fmt: skip
SCORE = {
    "security_id": 1001, "session": date(2025, 12, 5), "overall_score": 74.5, "rating": "Buy", "sector": "Energy",
    "sector_assumed": False, "sector_rank": 1, "sector_size": 5, "sector_percentile": 90.0, "confidence": "High",
    "data_completeness": 1.0, "known_at": datetime(2025, 12, 5, 21, tzinfo=UTC),
    **{factor.name: 50.0 + at for at, factor in enumerate(FACTORS)},
}  # fmt: skip


class Answers:
    """Stands for the warehouse: rows by query, and what was asked."""

    def __init__(self) -> None:
        self.rows_of: dict[str, list[dict[str, Any]]] = {
            "api_keys": [{"key_id": 1, "name": "test", "tier": "pro", "sha256": keys.hashed(KEY["X-API-Key"])}],
            "api_security": [SECURITY],
            "api_score": [SCORE],
        }
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.away = False

    async def rows(self, name: str, /, **params: Any) -> list[dict[str, Any]]:
        self.asked.append((name, params))
        if self.away:
            raise Unavailable("no host db.internal")
        return self.rows_of.get(name, [])

    async def row(self, name: str, /, **params: Any) -> dict[str, Any] | None:
        found = await self.rows(name, **params)
        return found[0] if found else None

    async def close(self) -> None: ...


@pytest.fixture
def warehouse() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def app() -> Any:
    return main.make_app()


@pytest.fixture
def client(app: Any, warehouse: Answers) -> Iterator[TestClient]:
    """A client of an application that has asked nothing yet."""
    main.remember(app, warehouse)  # type: ignore[arg-type]
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def paths(app: Any) -> list[str]:
    """Every path that is served, with something in the place of its parameters."""
    described = [re.sub(r"\{\w+\}", "AAPL", path) for path in app.openapi()["paths"]]
    return [*described, "/api/openapi.json"]


def test_no_route_but_health_answers_without_a_key(client, warehouse):
    served = paths(client.app)
    assert len(served) > 10
    for path in served:
        if path == "/health":
            continue
        for headers in ({}, {"X-API-Key": "cb_guessed"}, {"X-API-Key": "\x00"}):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
    assert {name for name, _ in warehouse.asked} == {"api_keys"}
    for hidden in ("/docs", "/redoc", "/openapi.json"):
        assert client.get(hidden, headers=KEY).status_code == 404


def test_every_route_that_is_served_is_described_and_guarded():
    """Fail closed: what is added outside the guarded router would answer anybody."""
    described = main.app.openapi()["paths"]
    for path, operations in described.items():
        assert set(operations) == {"get"}, path
        assert bool(operations["get"].get("security")) == (path != "/health"), path


def test_inside_airflow_every_route_but_health_asks_for_a_login(monkeypatch):
    from airflow.api_fastapi.core_api import security

    app = main.mounted()
    for path in set(paths(app)) - {"/health"}:
        assert TestClient(app).get(path).status_code == 401, path
        assert TestClient(app).get(path, headers=KEY).status_code == 401, "a key is no login"
    app.dependency_overrides[security.get_user] = lambda: SimpleNamespace(username="somebody")
    monkeypatch.setattr(
        security, "get_auth_manager", lambda: SimpleNamespace(is_authorized_view=lambda access_view, user: False)
    )
    assert TestClient(app).get("/api/scores/AAPL").status_code == 403


def test_airflow_mounts_api_scoreboard_and_its_own_pages_under_one_prefix():
    from fastapi import FastAPI

    sys.path.insert(0, str(REPOSITORY / "plugins"))
    try:
        from closingbell_pages import ClosingBellPages
    finally:
        sys.path.pop(0)
    airflow = FastAPI()
    for one in ClosingBellPages.fastapi_apps:
        airflow.mount(one["url_prefix"], one["app"])
    client = TestClient(airflow)
    refused = client.get("/closing-bell/api/scores/AAPL")
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    for page in ("/closing-bell/scoreboard", "/closing-bell/late"):
        assert client.get(page).status_code == 401, page
    for path in ("/closing-bell/nothing", "/closing-bell/api/nothing"):
        unknown = client.get(path)
        assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
    assert client.post("/closing-bell/api/scores/AAPL").status_code == 405
    assert client.post("/closing-bell/scoreboard/sign-in").status_code == 404, "Airflow's login is the way in"


def test_under_airflows_prefix_links_lead_back_to_it():
    from fastapi import FastAPI

    inside = main.make_app(lambda: None)
    main.remember(inside, Answers())  # type: ignore[arg-type]
    airflow = FastAPI()
    airflow.mount("/closing-bell", inside)
    found = TestClient(airflow).get("/closing-bell/api/scores/FB").json()
    assert found["links"]["history"] == "/closing-bell/api/scores/META/history?session=2025-12-05"
    assert found["factors"]["growth"]["evidence"].startswith("/closing-bell/api/scores/META/evidence?session=2025")
    assert TestClient(airflow).get(found["links"]["evidence"]).json()["ticker"] == "META"
    described = TestClient(airflow).get("/closing-bell/api/openapi.json").json()
    assert described["servers"] == [{"url": "/closing-bell"}], "its paths begin there"


@pytest.mark.parametrize(
    "path",
    [
        "/api/scores/A'; DROP TABLE closingbell.ic_scores--",
        "/api/scores/%00",
        "/api/scores/AAPL%0A",
        "/api/scores/" + "A" * 17,
        "/api/scores/Ⓐ",
        "/api/scores/..%2F..%2Fetc",
        "/api/scores/AAPL?session=today",
        "/api/scores/AAPL?session=2025-02-30",
        "/api/scores/AAPL?session=1764892800",  # seconds since 1970 of a session
        "/api/scores/AAPL?session=2025-12-05T00:00:00",
        "/api/scores/AAPL?session=٢٠٢٥-١٢-٠٥",
        "/api/scores/screener?session=0",
        "/api/v1/market-data/AAPL/history?start_date=3.6590535265002165e-90",
        "/api/scores/AAPL/history?days=0",
        "/api/scores/AAPL/history?days=99999999999999999999",
        "/api/scores/AAPL/evidence?factor=luck",
        "/api/scores/top?limit=501",
        "/api/scores/top?limit=-1",
        "/api/scores/top?offset=1e9",
        "/api/scores/top?sector=Energy' OR '1'='1",
        "/api/scores/top?min_score=nan",
        "/api/scores/top?min_score=inf",
        "/api/scores/screener?sort=overall_score;--",
        "/api/scores/screener?min_growth=-1",
        "/api/scores/screener?min_growth=101",
        "/api/scores/screener?min_luck=5",
        "/api/scores/screener?limit=501",
        "/api/v1/stocks?limit=1001",
        "/api/v1/stocks?offset=100001",
        "/api/v1/stocks/search",
        "/api/v1/stocks/search?q=",
        "/api/v1/stocks/search?q=%20%20",
        "/api/v1/stocks/search?q=%00",
        "/api/v1/stocks/search?q=" + "a" * 81,
        "/api/v1/market-data/AAPL/history?start_date=2025-12-05&end_date=2025-12-04",
        "/api/v1/market-data/AAPL/history?limit=100000",
    ],
)
def test_what_is_wrong_is_refused_before_the_warehouse_is_asked(client, warehouse, path):
    answer = client.get(path, headers=KEY)
    assert answer.status_code in (404, 422), answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    if answer.status_code == 422:
        assert problem["errors"][0]["parameter"]
    assert {name for name, _ in warehouse.asked} <= {"api_keys"}


def test_a_ticker_is_asked_for_in_the_houses_spelling(client, warehouse):
    assert client.get("/api/scores/brk-b", headers=KEY).status_code == 200
    assert ("api_security", {"ticker": "BRK.B", "session": None}) in warehouse.asked


def test_a_score_shows_the_declared_factors(client):
    found = client.get("/api/scores/FB", headers=KEY).json()
    assert {name: one["weight"] for name, one in found["factors"].items()} == {f.name: f.weight for f in FACTORS}
    assert [one["score"] for one in found["factors"].values()] == [50.0 + at for at in range(len(FACTORS))]


def test_filings_of_institutions_are_not_sought_under_the_company(client, warehouse):
    metric = FACTORS[0].metrics[0].name
    filed = {"metric": metric, "raw": 1.0, "peer_group": "market", "n": 9, "percentile": 50.0, "known_at": None}
    for table, url in (
        ("financials", "https://www.sec.gov/Archives/edgar/data/1/000000000125000007/0000000001-25-000007-index.htm"),
        ("institutional_ownership", None),
    ):
        warehouse.rows_of["api_evidence"] = [
            filed | {"source_key": [table, 1], "accession_nos": ["0000000001-25-000007"], "filings_total": 6000}
        ]
        found = client.get(f"/api/scores/FB/evidence?factor={FACTORS[0].name}", headers=KEY).json()
        shown = found["factors"][0]["metrics"][0]
        assert (shown["filings"][0]["url"], shown["filings_total"]) == (url, 6000)


def test_an_article_of_a_metric_that_is_scored_again_meanwhile_is_no_error(client, warehouse):
    warehouse.rows_of["api_evidence_told"] = [{"metric": "sentiment_7d", "kind": "article", "key": "1"}]
    assert client.get("/api/scores/FB/evidence", headers=KEY).status_code == 200


def test_a_session_without_its_inputs_is_not_explained_by_those_of_earlier_ones(client, warehouse):
    earlier = [{"session": date(2025, 12, day), "overall_score": 50.0, "inputs": {}} for day in (4, 3)]
    warehouse.rows_of["api_inputs"] = earlier
    answer = client.get("/api/scores/FB/changes?session=2025-12-05", headers=KEY)
    assert (answer.status_code, "is made of is gone: score it again" in answer.text) == (404, True)


def test_the_screener_bounds_every_declared_factor(client, warehouse):
    described = client.app.openapi()["paths"]["/api/scores/screener"]["get"]["parameters"]
    names = {parameter["name"] for parameter in described}
    assert {f"{bound}_{factor.name}" for factor in FACTORS for bound in ("min", "max")} <= names
    warehouse.rows_of["api_board"] = [
        {"board_session": date(2025, 12, 5), "newest": date(2025, 12, 5), "total": 0, "security_id": None}
    ]
    answer = client.get("/api/scores/screener?min_growth=60&max_value=40&min_score=50&order=worst", headers=KEY)
    assert answer.json()["results"] == []
    asked = dict(warehouse.asked)["api_board"]
    assert asked["bounds"] == {"overall_score": [50, 100], "growth": [60, 100], "value": [0, 40]}
    assert asked["descending"] is False


def test_pages_follow_each_other_with_what_was_asked(client, warehouse):
    warehouse.rows_of["api_board"] = [
        {"board_session": date(2025, 12, 5), "newest": date(2025, 12, 5), "total": 3, "security_id": None}
    ]
    first = client.get("/api/scores/top?sector=Health+Care&limit=2", headers=KEY).json()
    assert first["next"] == "/api/scores/top?sector=Health+Care&limit=2&offset=2"
    assert client.get(first["next"], headers=KEY).json()["next"] is None


def test_an_unchanged_answer_is_not_sent_again(client, warehouse):
    first = client.get("/api/scores/FB", headers=KEY)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, max-age=60"
    for known in (tag, f'"other", W/{tag}', "*"):
        again = client.get("/api/scores/FB", headers=KEY | {"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    warehouse.rows_of["api_score"] = [SCORE | {"overall_score": 74.51}]  # scored again
    assert client.get("/api/scores/FB", headers=KEY | {"If-None-Match": tag}).status_code == 200


def test_an_earlier_session_may_be_kept_longer_than_the_newest(client, warehouse):
    newest = client.get("/api/scores/FB?session=2025-12-05", headers=KEY)
    assert newest.headers["cache-control"] == "private, max-age=60"
    earlier = client.get("/api/scores/FB?session=2025-12-04", headers=KEY)
    assert earlier.headers["cache-control"] == "private, max-age=3600"
    warehouse.rows_of["api_score"] = []
    assert client.get("/api/scores/FB", headers=KEY).headers["cache-control"] == "no-store"


def test_a_warehouse_that_is_away_is_503_and_is_not_named(client, warehouse):
    assert client.get("/api/scores/FB", headers=KEY).status_code == 200
    warehouse.away = True
    answer = client.get("/api/scores/FB", headers=KEY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "db.internal" not in answer.text
    health = client.get("/health")
    assert (health.status_code, health.json()["database"]) == (503, "unavailable")


def test_an_error_of_ours_is_500_and_says_nothing(client, warehouse):
    warehouse.rows_of["api_score"] = [{"session": date(2025, 12, 5)}]
    answer = client.get("/api/scores/FB", headers=KEY)
    assert (answer.status_code, answer.json()["detail"]) == (500, "an error of the server; its log has it")


def test_health_asks_the_warehouse_once_however_many_ask(client, warehouse):
    class Slow(Answers):
        async def rows(self, name: str, /, **params: Any) -> list[dict[str, Any]]:
            await asyncio.sleep(0)  # the others come meanwhile
            return await super().rows(name, **params)

    slow = Slow()
    main.remember(client.app, slow)  # type: ignore[arg-type]

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(main.health(SimpleNamespace(app=client.app)) for _ in range(50)))  # type: ignore[arg-type]

    assert {answer.status_code for answer in asyncio.run(all_at_once())} == {200}
    assert client.get("/health").status_code == 200
    assert [name for name, _ in slow.asked] == ["api_newest", "published_ago"]


def test_health_shows_the_tables_that_were_never_published_too(client, warehouse):
    warehouse.rows_of["published_ago"] = [{"dataset": "ic_scores", "seconds": 5.0}]
    found = {one["table"]: one["seconds_ago"] for one in client.get("/health").json()["tables"]}
    assert found == dict.fromkeys(TABLES) | {"ic_scores": 5.0}


@pytest.mark.parametrize("error", [asyncpg.UndefinedTableError("ops.load_ledger"), TimeoutError()])
def test_health_of_a_warehouse_without_its_tables_or_without_an_answer_is_503(client, warehouse, error):
    async def rows(name: str, /, **params: Any) -> Any:
        raise error

    warehouse.rows = rows
    found = client.get("/health")
    assert (found.status_code, found.json()["database"]) == (503, "unavailable")


def test_a_key_has_the_rate_of_its_tier(client, warehouse):
    warehouse.rows_of["api_keys"][0]["tier"] = "free"
    client.app.state.rates = Rates(clock=lambda: 0.0)
    burst = keys.TIERS["free"].burst
    left = [client.get("/api/scores/FB", headers=KEY).headers["ratelimit-remaining"] for _ in range(burst)]
    assert left == [str(n) for n in reversed(range(burst))]
    refused = client.get("/api/scores/FB", headers=KEY)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == (str(burst), "0")


def test_a_rate_comes_back_with_time_and_a_refusal_costs_nothing():
    now = [100.0]
    rates = Rates(clock=lambda: now[0])
    caller = Caller(1, "test", Tier(per_minute=60, burst=2))
    assert [rates.take(caller) for _ in range(4)] == [(1, 0.0), (0, 0.0), (0, 1.0), (0, 1.0)]
    now[0] += 1
    assert [rates.take(caller) for _ in range(2)] == [(0, 0.0), (0, 1.0)]
    assert rates.take(Caller(2, "another", caller.tier)) == (1, 0.0)


def test_an_ended_key_is_refused_soon_and_guesses_are_not_asked_for_each():
    warehouse, now = Answers(), [0.0]
    found = Keys(warehouse, clock=lambda: now[0])  # type: ignore[arg-type]

    async def used() -> None:
        for guess in range(100):
            assert await found.find(f"cb_{guess}") is None
        assert (await found.find(KEY["X-API-Key"])).name == "test"  # type: ignore[union-attr]
        assert len(warehouse.asked) == 1
        warehouse.rows_of["api_keys"] = []
        assert await found.find(KEY["X-API-Key"]) is not None
        now[0] += keys.FRESH_SECONDS + 1
        assert await found.find(KEY["X-API-Key"]) is None

    asyncio.run(used())


def test_an_absent_warehouse_is_tried_once_for_all_who_wait():
    """Each on its own, one after the other, the hundredth would wait a hundred times as long."""
    tried = []

    def url() -> Any:
        tried.append(1)
        raise db.NoWarehouse("none")

    reads = Reads(url)
    found = Keys(reads)

    async def asked() -> list[Any]:
        waiting = [reads.rows("api_newest") for _ in range(50)] + [found.find(f"cb_{n}") for n in range(50)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert {type(answer) for answer in asyncio.run(asked())} == {Unavailable}
    assert len(tried) == 1
    assert {type(answer) for answer in asyncio.run(asked())} == {Unavailable}
    assert len(tried) == 2, "and again by who comes later"


def test_the_description_is_valid_openapi_and_every_answer_has_an_example_that_is_one():
    from openapi_spec_validator import validate

    description = json.loads(json.dumps(main.app.openapi()))
    validate(description)
    for path, operations in description["paths"].items():
        for status, answer in operations["get"]["responses"].items():
            for content in answer.get("content", {}).values():
                assert content["schema"], (path, status)
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                if status == "200":
                    (example,) = description["components"]["schemas"][name]["examples"]
                    getattr(models, name).model_validate(example)
        assert (path == "/health") or {"401", "404", "422", "429", "503"} <= set(operations["get"]["responses"]), path
    assert "HTTPValidationError" not in description["components"]["schemas"]


@pytest.mark.parametrize("name", sorted(path.stem for path in (REPOSITORY / "sql/queries").glob("api_*.sql")))
def test_every_query_has_bound_parameters_in_the_order_that_asyncpg_takes(name):
    statement, order = _compiled(name)
    assert set(re.findall(r"\$(\d+)", statement)) == {str(at) for at in range(1, len(order) + 1)}
    assert not re.search(r"(?<!:):[a-z]", re.sub(r"--.*", "", statement))
    assert len(set(order)) == len(order)


def test_a_server_that_does_not_answer_is_unavailable():
    reads = Reads(lambda: make_url("postgresql+psycopg2://nobody:secret@127.0.0.1:1/none"))
    with pytest.raises(Unavailable) as told:
        asyncio.run(reads.rows("api_newest"))
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql+psycopg2://u@localhost/cb?host=/tmp/a socket/pg", ["/tmp/a socket/pg/.s.PGSQL.5432"]),
        ("postgresql://u:p%40ss@db.example:5433/cb?connect_timeout=10&keepalives=1", [("db.example", 5433)]),
    ],
)
def test_an_address_of_the_warehouse_is_one_for_asyncpg(url, hosts):
    """psycopg2's own options would be told to the server, which refuses what it does not know."""
    from asyncpg.connect_utils import _parse_connect_dsn_and_args

    wanted = dict.fromkeys(inspect.signature(_parse_connect_dsn_and_args).parameters)
    found, settings = _parse_connect_dsn_and_args(**wanted | {"dsn": address(make_url(url)), "direct_tls": False})
    assert (found, settings.user, settings.database) == (hosts, "u", "cb")
    assert not settings.server_settings
