"""The API on a warehouse: the simulated universe with bars, statements, moods and scores of three sessions.

Every answer is compared with the rows of the tables. Two tickers are added that were given up: RENAMED, which nobody
bears now, and REUSED, which another security bears.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, make_url, text

from closingbell import cli, sessions
from closingbell import settings as configured
from closingbell.api import keys, main
from closingbell.api.reads import Reads
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.scores.factors import FACTORS
from closingbell.warehouse import db

AT = datetime(2030, 1, 1, tzinfo=UTC)
HERO, OTHER = 0, 1  # places among the shares, by security_id
NAMES = [factor.name for factor in FACTORS]

SHARES = "SELECT security_id FROM closingbell.securities WHERE type = 'CS' AND last_session IS NULL ORDER BY 1"
BARS = """
INSERT INTO closingbell.stock_prices (security_id, session, open, high, low, close, volume, source, final, fetched_at)
SELECT s.security_id, d.day, 10, 12, 9, 10 + s.place % 7, 1000 + s.place, 'polygon', true, :at
FROM (SELECT security_id, row_number() OVER (ORDER BY security_id) AS place
      FROM closingbell.securities WHERE type = 'CS' AND last_session IS NULL) AS s
CROSS JOIN unnest(CAST(:days AS date[])) AS d (day)"""
INDICATORS = """
INSERT INTO closingbell.technical_indicators
    (security_id, session, close, rsi_14, return_1m, return_3m, bars, fetched_at)
SELECT security_id, session, close, 30 + number % 40, CASE WHEN number % 3 > 0 THEN number % 11 / 10.0 END,
       extract(day FROM session) / number, 400, :at
FROM (SELECT *, CAST(volume AS integer) AS number FROM closingbell.stock_prices) AS p"""
VALUATIONS = """
INSERT INTO closingbell.valuation_ratios (security_id, session, close, market_cap, pe_ratio, earnings_yield,
    statement_period_end, statement_known_on, fetched_at)
SELECT security_id, session, close, 1e9, 20, CAST(volume AS integer) % 13 / 100.0, :period, :known_on, :at
FROM closingbell.stock_prices"""
STATEMENTS = """
INSERT INTO closingbell.financials
    (cik, period_end, period_type, known_on, known_at, currency, accession_no, source_accession_nos, net_margin, roa,
     fetched_at)
SELECT DISTINCT s.cik, CAST(:period AS date), 'TTM', CAST(:known_on AS date), CAST(:known_at AS timestamptz), 'USD',
       '0000000001-25-000001', ARRAY['0000000001-25-000001', '0000000001-24-000009'], s.cik % 17 / 20.0, 0.1, :at
FROM closingbell.securities AS s WHERE s.type = 'CS' AND s.last_session IS NULL"""
MOOD = """
INSERT INTO closingbell.sentiment_daily (security_id, session, sentiment_7d, sentiment_30d, articles_7d, articles_30d,
    last_published_at, hours_since, by_source, known_at, fetched_at)
VALUES (:security, :session, 0.25, 0.125, 1, 2, :close, 0, '{"polygon": {"weight": 1.0}}', :close, :at)"""
ARTICLE = """
INSERT INTO closingbell.news_articles (article_id, title, url, source, published_at, told_at, sources, vendors, tickers,
    fetched_at)
VALUES (:article, :title, 'https://news.example/' || :article, 'Wire', :published, :published, '{Wire}', '{polygon}',
    '{}', :at)"""
OPINION = """
INSERT INTO closingbell.news_sentiment (article_id, security_id, model, model_version, score, known_at, fetched_at)
VALUES (:article, :security, :model, '1', :score, :published, :at)"""
COMPANY = """
INSERT INTO closingbell.companies (cik, valid_from, name, fetched_at) VALUES (:cik, :first, :name, :at)"""
SECURITY = """
INSERT INTO closingbell.securities (security_id, cik, name, type, fetched_at)
VALUES (:security, :cik, :name, 'CS', :at)"""
TICKER = """
INSERT INTO closingbell.ticker_history (ticker, valid_from, valid_to, security_id, fetched_at)
VALUES (:ticker, :first, :last, :security, :at)"""
SPLIT = """
INSERT INTO closingbell.corporate_actions
    (security_id, ex_date, kind, numerator, denominator, known_at, source, fetched_at)
VALUES (:security, :session, 'split', 2, 1, :at, 'polygon', :at)"""


class Warehouse:
    """A database with scores, what it holds, and a client with a key."""

    def __init__(self, engine: Engine, days: list[date]) -> None:
        self.engine, self.days = engine, days
        self.shares = [row["security_id"] for row in self.rows(SHARES)]
        self.key = keys.make(engine, "tests", "pro", author="tests")[1]
        self.client: TestClient

    def rows(self, statement: str, **params: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement), params).mappings()]

    def score(self, security: int, session: date) -> dict[str, Any]:
        statement = "SELECT * FROM closingbell.ic_scores WHERE security_id = :security AND session = :session"
        return self.rows(statement, security=security, session=session)[0]

    def ticker(self, security: int) -> str:
        statement = "SELECT ticker FROM closingbell.borne_tickers WHERE security_id = :security AND valid_to IS NULL"
        return self.rows(statement, security=security)[0]["ticker"]

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(path, headers={"X-API-Key": self.key})
        assert answer.status_code == status, f"{path}: {answer.text}"
        return answer.json()


@pytest.fixture(scope="module")
def house(market, with_universe, new_database, tmp_path_factory) -> Iterator[Warehouse]:
    url = new_database(with_universe[0])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        configured.settings.cache_clear()
        engine = db.engine(url)
        days = sessions.last_sessions(market.last_session, 3)
        fill(engine, days)
        run = base.Run(
            dag_id="scores", run_id="tests", partition_key=days[-1].isoformat(), engine=engine,
            landing=Landing(str(tmp_path_factory.mktemp("api")), engine),
            params={"sessions": [day.isoformat() for day in days]},
        )  # fmt: skip
        base.run_load(LOADS["scores"], run)
        found = Warehouse(engine, days)
        with TestClient(main.make_app()) as found.client:
            yield found
    configured.settings.cache_clear()


def fill(engine: Engine, days: list[date]) -> None:
    close = sessions.close_of(days[-1])
    statement = {"period": days[0].replace(day=1), "known_on": days[0], "at": AT}
    with engine.begin() as connection:
        shares = list(connection.scalars(text(SHARES)))
        hero, other = shares[HERO], shares[OTHER]
        connection.execute(text(BARS), {"days": days, "at": AT})
        connection.execute(text(INDICATORS), {"at": AT})
        connection.execute(text(STATEMENTS), statement | {"known_at": sessions.close_of(days[0])})
        connection.execute(text(VALUATIONS), statement)
        connection.execute(text(MOOD), {"security": hero, "session": days[-1], "close": close, "at": AT})
        articles = [
            {"article": 1, "title": "before the close", "published": close, "at": AT},
            {"article": 2, "title": "after the close", "published": close.replace(hour=23), "at": AT},
        ]
        for article in articles:
            connection.execute(text(ARTICLE), article)
            for model, score in (("polygon", 0.5), ("lexicon", -0.25)):
                one = {"security": hero, "model": model, "score": score}
                connection.execute(text(OPINION), {**article, **one})
        connection.execute(text(SPLIT), {"security": hero, "session": days[-1], "at": AT})
        for ticker, security, first, last in (
            ("RENAMED", hero, date(2010, 1, 4), date(2012, 6, 29)),
            ("REUSED", hero, date(2013, 1, 2), date(2014, 6, 30)),
            ("REUSED", other, days[1], None),
        ):
            row = {"ticker": ticker, "security": security, "first": first, "last": last, "at": AT}
            connection.execute(text(TICKER), row)


# -- scores -----------------------------------------------------------------------------------------------------------


def test_a_score_is_the_newest_or_the_sessions(house):
    security = house.shares[HERO]
    for query, day in (("", house.days[-1]), (f"?session={house.days[0]}", house.days[0])):
        found, stored = house.get(f"/api/scores/{house.ticker(security)}{query}"), house.score(security, day)
        assert found["security_id"] == security
        assert found["session"] == day.isoformat()
        for name in ("overall_score", "rating", "sector", "sector_percentile", "confidence", "data_completeness"):
            assert found[name] == stored[name], name
        assert {name: one["score"] for name, one in found["factors"].items()} == {name: stored[name] for name in NAMES}
    assert "has no score on 2009-01-02" in house.get("/api/scores/RENAMED?session=2009-01-02", 404)["detail"]
    assert house.get("/api/scores/NOBODY", 404)["title"] == "Not Found"


def test_an_old_ticker_answers_with_the_security_it_became(house):
    hero, other = house.shares[HERO], house.shares[OTHER]
    for path in ("scores/RENAMED", "scores/renamed", "v1/market-data/RENAMED/latest", "v1/stocks/RENAMED"):
        found = house.get(f"/api/{path}")
        assert found.get("security_id", hero) == hero
        assert (found.get("ticker") or found["symbol"]) == house.ticker(hero)
    assert house.get("/api/scores/REUSED")["security_id"] == other, "who bears it now"
    assert house.get(f"/api/scores/REUSED?session={house.days[0]}")["security_id"] == hero, "who bore it last then"
    assert house.get(f"/api/scores/REUSED?session={house.days[1]}")["security_id"] == other


def test_history_is_in_order_and_ends_where_it_is_asked_to(house):
    ticker = house.ticker(house.shares[HERO])
    found = house.get(f"/api/scores/{ticker}/history?days=3660")["scores"]
    assert [one["session"] for one in found] == [day.isoformat() for day in house.days]
    assert [one["overall_score"] for one in found] == [
        house.score(house.shares[HERO], day)["overall_score"] for day in house.days
    ]
    upto = house.get(f"/api/scores/{ticker}/history?session={house.days[1]}")["scores"]
    assert [one["session"] for one in upto] == [day.isoformat() for day in house.days[:2]]
    assert len(house.get(f"/api/scores/{ticker}/history?days=1")["scores"]) == 1
    house.get(f"/api/scores/{ticker}/history?session=2009-01-02", 404)


def test_evidence_names_the_filings_and_when_they_were_known(house):
    security = house.shares[HERO]
    found = house.get(f"/api/scores/{house.ticker(security)}/evidence")
    assert [one["name"] for one in found["factors"]] == NAMES
    metrics = {metric["name"]: metric for factor in found["factors"] for metric in factor["metrics"]}
    assert set(metrics) == {metric.name for factor in FACTORS for metric in factor.metrics}
    margin = metrics["net_margin"]
    cik = house.rows("SELECT cik FROM closingbell.securities WHERE security_id = :id", id=security)[0]["cik"]
    assert margin["value"] == pytest.approx(cik % 17 / 20)
    assert margin["source"][:2] == ["financials", cik]
    assert {one["accession_no"] for one in margin["filings"]} == {"0000000001-25-000001", "0000000001-24-000009"}
    assert margin["filings_total"] == 2
    assert f"/data/{cik}/000000000125000001/0000000001-25-000001-index.htm" in json.dumps(margin["filings"])
    assert datetime.fromisoformat(margin["known_at"]) == sessions.close_of(house.days[0])
    assert datetime.fromisoformat(metrics["rsi_distance"]["known_at"]) == sessions.close_of(house.days[-1])
    assert metrics["revenue_growth"]["value"] is None
    assert metrics["revenue_growth"]["known_at"] is None
    stored = house.score(security, house.days[-1])
    for factor in found["factors"]:
        present = [one["percentile"] for one in factor["metrics"] if one["percentile"] is not None]
        assert factor["score"] == stored[factor["name"]]
        assert (factor["score"] is None) == (not present)
        if present:
            assert sum(present) / len(present) == pytest.approx(factor["score"])
    only = house.get(f"/api/scores/{house.ticker(security)}/evidence?factor=technical")["factors"]
    assert [one["name"] for one in only] == ["technical"]


def test_links_lead_on(house):
    found = house.get(f"/api/scores/top?limit=1&session={house.days[1]}")["results"][0]
    for link in [one["evidence"] for one in found["factors"].values()]:
        assert house.get(link)["session"] == house.days[1].isoformat()
    for link in house.get("/api/scores/RENAMED")["links"].values():
        house.get(link)


# -- board ------------------------------------------------------------------------------------------------------------


def board(house: Warehouse, session: date) -> list[dict[str, Any]]:
    return house.rows("SELECT * FROM closingbell.ic_scores WHERE session = :session", session=session)


def test_the_best_come_first_and_pages_give_each_once(house):
    stored = sorted(board(house, house.days[-1]), key=lambda row: (-row["overall_score"], row["security_id"]))
    path, found = "/api/scores/top?limit=7", []
    while path:
        page = house.get(path)
        assert page["total"] == len(stored)
        found += page["results"]
        path = page["next"]
    assert [one["security_id"] for one in found] == [row["security_id"] for row in stored]
    assert all(one["ticker"] and one["company_name"] for one in found)
    sector = next(row["sector"] for row in stored if row["sector"])
    least = stored[len(stored) // 2]["overall_score"]
    best = house.client.get(
        "/api/scores/top", params={"sector": sector, "min_score": least}, headers={"X-API-Key": house.key}
    ).json()["results"]
    assert [one["security_id"] for one in best] == [
        row["security_id"] for row in stored if row["sector"] == sector and row["overall_score"] >= least
    ]
    assert house.get("/api/scores/top?offset=90000")["results"] == []
    assert house.get("/api/scores/top?session=2009-01-02", 404)["detail"].endswith(f"{house.days[-1]}")


@pytest.mark.parametrize("name", NAMES)
def test_the_screener_bounds_and_sorts_by_each_factor(house, name):
    stored = board(house, house.days[1])
    found = house.get(f"/api/scores/screener?session={house.days[1]}&sort={name}&order=worst&limit=500")["results"]
    order = sorted(stored, key=lambda row: (row[name] is None, row[name] or 0, row["security_id"]))
    assert [one["security_id"] for one in found] == [row["security_id"] for row in order]
    some = house.get(f"/api/scores/screener?session={house.days[1]}&min_{name}=30&max_{name}=70")
    expected = {row["security_id"] for row in stored if row[name] is not None and 30 <= row[name] <= 70}
    assert {one["security_id"] for one in some["results"]} == expected
    assert some["total"] == len(expected)


# -- stocks -----------------------------------------------------------------------------------------------------------


def test_stocks_are_listed_and_found_by_ticker_word_and_piece(house):
    listed = house.get("/api/v1/stocks?limit=1000")
    assert {one["id"] for one in listed["results"]} >= set(house.shares)
    assert listed["total"] == len(listed["results"])
    assert [one["symbol"] for one in listed["results"]] == sorted(one["symbol"] for one in listed["results"])
    half = house.get(f"/api/v1/stocks?limit={listed['total'] // 2}")
    assert house.get(half["next"])["results"][0] == listed["results"][listed["total"] // 2]
    wanted = next(one for one in listed["results"] if one["id"] == house.shares[HERO])
    word = max(re.findall(r"[A-Za-z]+", wanted["company_name"]), key=len)
    for q in (wanted["symbol"], wanted["symbol"].lower(), "RENAMED", word, word.lower(), word[:4].lower()):
        found = house.client.get("/api/v1/stocks/search?limit=50", params={"q": q}, headers={"X-API-Key": house.key})
        assert wanted in found.json()["results"], q
    assert house.get(f"/api/v1/stocks/search?q={wanted['symbol']}")["results"][0] == wanted
    for q in ("zzqqxy", "' OR 1=1 --", "& | ! ( ) : *", "%25", "_", "\\"):
        found = house.client.get("/api/v1/stocks/search", params={"q": q}, headers={"X-API-Key": house.key})
        assert (found.status_code, found.json()["results"]) == (200, []), q


def test_search_finds_appl_and_alphabet(house):
    with house.engine.begin() as connection:
        for cik, name, ticker in ((320193, "Apple Inc.", "AAPL"), (1652044, "Alphabet Inc.", "GOOGL")):
            one = {"cik": cik, "security": cik * 1000 + 1, "name": name, "first": date(2019, 1, 2), "at": AT}
            for statement in (COMPANY, SECURITY, TICKER):
                connection.execute(text(statement), one | {"ticker": ticker, "last": None})
    for q, symbol in (
        ("appl", "AAPL"),
        ("apple", "AAPL"),
        ("aap", "AAPL"),
        ("alphabet", "GOOGL"),
        ("alphabt", "GOOGL"),
    ):
        assert house.get(f"/api/v1/stocks/search?q={q}")["results"][0]["symbol"] == symbol, q


def test_a_stock_shows_its_market_data_and_its_mood(house):
    hero = house.shares[HERO]
    found = house.get(f"/api/v1/stocks/{house.ticker(hero)}")
    assert found["id"] == hero
    assert found["market_data"] == house.get(f"/api/v1/market-data/{house.ticker(hero)}/latest")
    assert found["sentiment"] == house.get(f"/api/v1/sentiment/{house.ticker(hero)}/latest")
    other = house.get(f"/api/v1/stocks/{house.ticker(house.shares[OTHER])}")
    assert other["sentiment"] is None
    house.get(f"/api/v1/sentiment/{house.ticker(house.shares[OTHER])}/latest", 404)


def test_a_split_is_no_fall_of_the_price(house):
    found = house.get("/api/v1/market-data/RENAMED/latest")
    bars = house.rows(
        "SELECT close FROM closingbell.stock_prices WHERE security_id = :id ORDER BY session", id=house.shares[HERO]
    )
    assert found["previous_close"] == pytest.approx(bars[-2]["close"] / 2)
    assert found["change"] == pytest.approx(bars[-1]["close"] - bars[-2]["close"] / 2)
    assert (found["market_cap"], found["pe_ratio"], found["source"]) == (1e9, 20, "polygon")


def test_bars_are_those_of_the_days_asked_for(house):
    _, second, last = house.days
    path = f"/api/v1/market-data/{house.ticker(house.shares[OTHER])}/history"
    assert [one["session"] for one in house.get(path)["results"]] == [day.isoformat() for day in house.days]
    some = house.get(f"{path}?start_date={second}&end_date={last}&limit=1")
    assert (some["total"], [one["session"] for one in some["results"]]) == (2, [second.isoformat()])
    assert [one["session"] for one in house.get(some["next"])["results"]] == [last.isoformat()]
    house.get(f"{path}?end_date=2009-01-02", 404)


def test_sentiment_names_its_sources_and_what_the_close_knew(house):
    found = house.get("/api/v1/sentiment/RENAMED/latest")
    assert (found["sentiment_7d"], found["by_source"]) == (0.25, {"polygon": {"weight": 1.0}})
    assert [(one["title"], one["url"], one["scores"]) for one in found["articles"]] == [
        ("before the close", "https://news.example/1", {"polygon": 0.5, "lexicon": -0.25})
    ]


# -- keys, roles, health ----------------------------------------------------------------------------------------------


def test_keys_are_made_once_stored_hashed_and_ended(house, capsys, monkeypatch):
    def command(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["closingbell", "api-key", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out + told.err * bool(left.value.code)

    _, made = command("make", "a customer", "--tier", "free", "--author", "sales")
    key = made.strip()
    assert keys.hashed(key) not in made
    stored = house.rows("SELECT * FROM ops.api_keys WHERE name = 'a customer'")[0]
    assert (stored["tier"], stored["created_by"], stored["sha256"]) == ("free", "sales", keys.hashed(key))
    assert key not in str(stored)
    house.client.app.state.keys._read_at = float("-inf")  # half a minute later
    assert house.client.get("/api/v1/stocks", headers={"X-API-Key": key}).status_code == 200
    code, listed = command("list")
    assert code == 0
    assert f"key_id={stored['key_id']}  name=a customer  tier=free" in listed
    assert keys.hashed(key) not in listed
    assert command("end", str(stored["key_id"])) == (0, "")
    house.client.app.state.keys._read_at = float("-inf")
    assert house.client.get("/api/v1/stocks", headers={"X-API-Key": key}).status_code == 401
    assert "no key" in command("end", str(stored["key_id"]))[1]
    assert "there is no tier 'gold'" in command("make", "a customer", "--tier", "gold")[1]


def test_the_api_can_only_read(house):
    async def tried() -> None:
        reads = Reads(lambda: make_url(house.engine.url))
        try:
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
                await reads.rows("api_key_put", name="x", tier="pro", sha256="x", author="x")
            assert reads._pool is not None
            assert await reads._pool.fetchval("SELECT current_user") == "closingbell_reader"
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reads._pool.execute("BEGIN READ WRITE; DELETE FROM closingbell.ic_scores")
        finally:
            await reads.close()

    asyncio.run(tried())


def test_health_shows_how_fresh_each_table_is(house):
    found = house.client.get("/health").json()
    assert (found["status"], found["newest_session"]) == ("ok", house.days[-1].isoformat())
    assert {"ic_scores", "score_inputs"} <= {one["table"] for one in found["tables"]}
    assert all(one["seconds_ago"] >= 0 for one in found["tables"])


# -- properties -------------------------------------------------------------------------------------------------------

ODD = st.one_of(
    st.text(max_size=30), st.sampled_from(["", "0", "-1", "1e400", "nan", "NULL", "'", "\x00", "٣", "9" * 30])
)


def drawn(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    """Values that the schema allows."""
    if "anyOf" in schema:
        return st.one_of(*(drawn(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "date":
        return st.dates(min_value=date(1, 1, 1)).map(str)
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"]).map(str)
    if schema["type"] == "number":
        return st.floats(schema["minimum"], schema["maximum"]).map(str)
    return st.from_regex(schema["pattern"], fullmatch=True).filter(
        lambda text: len(text) <= schema.get("maxLength", 99)
    )


OPERATIONS = {path: one["get"] for path, one in main.app.openapi()["paths"].items() if path != "/health"}


@given(data=st.data())
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
def test_whatever_is_asked_the_answer_is_a_described_one(house, data):
    path = data.draw(st.sampled_from(sorted(OPERATIONS)))
    right = data.draw(st.booleans())
    query: dict[str, str] = {}
    url = path
    for parameter in OPERATIONS[path].get("parameters", []):
        value = drawn(parameter["schema"])
        if parameter["in"] == "path":
            tickers = st.sampled_from([house.ticker(house.shares[HERO]), "RENAMED", "REUSED", "NOBODY"])
            drawn_ticker = data.draw(tickers | value if right else ODD)
            url = url.replace(f"{{{parameter['name']}}}", quote(drawn_ticker, safe=""))
        elif parameter["in"] == "query" and (parameter["required"] or data.draw(st.booleans())):
            query[parameter["name"]] = data.draw(value if right else ODD)
    answer = house.client.get(url, params=query, headers={"X-API-Key": house.key})
    assert answer.status_code < 500, (url, query, answer.text)
    assert answer.status_code == 404 or str(answer.status_code) in OPERATIONS[path]["responses"], (url, query)
    if right:
        allowed = {200, 404} | ({422} if "start_date" in query and "end_date" in query else set())
        assert answer.status_code in allowed, (url, query, answer.text)
    if answer.status_code != 200:
        assert answer.json()["status"] == answer.status_code
