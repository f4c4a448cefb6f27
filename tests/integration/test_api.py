"""The API on a warehouse (scored.py): every answer is compared with the rows of the tables."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scored import AT, COMPANY, HERO, NAMES, OTHER, SECURITY, TICKER, Warehouse
from sqlalchemy import make_url, text

from closingbell import cli, sessions
from closingbell.api import keys, main, reads
from closingbell.api.reads import Reads, Unavailable
from closingbell.scores.factors import FACTORS

RANKED = """
INSERT INTO closingbell.index_members (index_name, security_id, valid_from, rank, fetched_at)
VALUES ('fortune500', :security, '2019-01-02', :rank, :at)"""
EXPECTED = """
UPDATE ops.stages SET expected = jsonb_build_object('sessions', to_jsonb(CAST(:sessions AS text[])))
WHERE table_name = 'ic_scores'"""
ENDED = "UPDATE closingbell.securities SET last_session = :last WHERE security_id = :security"
ADJUSTED = """
UPDATE closingbell.stock_prices SET adjusted_as_of = :until WHERE security_id = :security AND session = :day"""

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


def test_a_run_that_was_narrowed_makes_no_newest_board(house):
    """A whole run expects its sessions, one of --tickers nothing; without any it is the newest that has scores."""
    days = [day.isoformat() for day in house.days]
    ticker = house.ticker(house.shares[HERO])

    def newest(*whole: str) -> str:
        with house.engine.begin() as connection:
            connection.execute(text(EXPECTED), {"sessions": list(whole)})
        found = house.get(f"/api/scores/{ticker}")
        assert found["session"] == days[-1]
        assert house.get("/api/scores/top")["session"] == found["newest_session"]
        assert house.get(f"/api/scores/top?session={days[-1]}")["session"] == days[-1]
        return found["newest_session"]

    try:
        assert newest(*days[:-1]) == days[-2]
        assert newest() == days[-1]
    finally:
        assert newest(*days) == days[-1]


def test_a_mood_that_is_too_old_for_a_score_is_none_for_a_reader(house):
    path, too_old = f"/api/v1/sentiment/{house.ticker(house.shares[HERO])}/latest", timedelta(days=6)
    moved = "UPDATE closingbell.sentiment_daily SET session = session {} :by WHERE security_id = :security"
    house.get(path)
    try:
        with house.engine.begin() as connection:
            connection.execute(text(moved.format("-")), {"by": too_old, "security": house.shares[HERO]})
        house.get(path, 404)
    finally:
        with house.engine.begin() as connection:
            connection.execute(text(moved.format("+")), {"by": too_old, "security": house.shares[HERO]})


def test_an_old_ticker_answers_with_the_security_it_became(house):
    hero, other = house.shares[HERO], house.shares[OTHER]
    for path in ("scores/RENAMED", "scores/renamed", "v1/market-data/RENAMED/latest", "v1/stocks/RENAMED"):
        found = house.get(f"/api/{path}")
        assert found.get("security_id", hero) == hero
        assert (found.get("ticker") or found["symbol"]) == house.ticker(hero)
    assert house.get("/api/scores/REUSED")["security_id"] == other, "who bears it now"
    assert house.get(f"/api/scores/REUSED?session={house.days[0]}")["security_id"] == hero, "who bore it last then"
    assert house.get(f"/api/scores/REUSED?session={house.days[1]}")["security_id"] == other


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar_are_days_without_a_score(house, day):
    """asyncpg sends them as infinities, and PostgreSQL subtracts none."""
    ticker = house.ticker(house.shares[HERO])
    for path in ("", "/evidence", "/changes"):
        house.get(f"/api/scores/{ticker}{path}?session={day}", 404)
    house.get(f"/api/scores/top?session={day}", 404)
    house.get(f"/api/scores/{ticker}/history?session={day}", 404 if day < "2000" else 200)
    house.get(f"/api/v1/market-data/{ticker}/history?end_date={day}", 404 if day < "2000" else 200)


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


def test_changes_add_up_to_the_change_since_the_session_before(house):
    for security in house.shares:
        found = house.get(f"/api/scores/{house.ticker(security)}/changes?session={house.days[1]}")
        before, after = (house.score(security, day)["overall_score"] for day in house.days[:2])
        assert (found["before"], found["score_before"], found["score_after"]) == (str(house.days[0]), before, after)
        assert found["change"] == pytest.approx(after - before)
        assert sum(part["part"] for part in found["parts"]) == pytest.approx(after - before, abs=1e-9)
    first = f"/api/scores/{house.ticker(house.shares[HERO])}/changes?session={house.days[0]}"
    assert "no score before" in house.get(first, 404)["detail"]


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


def test_a_companys_rank_is_that_of_all_its_shares_and_one_no_longer_listed_says_so(house):
    hero = house.shares[HERO]
    sibling = {
        "security": hero + 1,
        "name": "Sibling",
        "ticker": "SIBL",
        "first": date(2019, 1, 2),
        "last": None,
        "at": AT,
    }
    cik = house.rows("SELECT cik FROM closingbell.securities WHERE security_id = :id", id=hero)[0]["cik"]
    with house.engine.begin() as connection:
        connection.execute(text(SECURITY), sibling | {"cik": cik})
        connection.execute(text(TICKER), sibling)
        connection.execute(text(RANKED), {"security": hero, "rank": 8, "at": AT})
        connection.execute(text(ENDED), {"security": hero + 1, "last": date(2024, 6, 28)})
    listed = {one["id"]: one for one in house.get("/api/v1/stocks?limit=1000")["results"]}
    assert (listed[hero]["fortune_500_rank"], listed[hero]["last_session"], hero + 1 in listed) == (8, None, False)
    found = house.get("/api/v1/stocks/SIBL")
    assert (found["fortune_500_rank"], found["last_session"]) == (8, "2024-06-28")


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


def test_prices_that_their_vendor_adjusted_say_so_and_are_not_adjusted_once_more(house):
    """The recordings' are adjusted as of their last day: a split of before that day is in them already."""
    hero, (_, second, last) = house.shares[HERO], house.days  # its split is on the last day
    path = f"/api/v1/market-data/{house.ticker(hero)}"

    def latest(*adjusted: date | None) -> dict[str, Any]:
        with house.engine.begin() as connection:
            for day, until in zip((second, last), adjusted, strict=True):
                connection.execute(text(ADJUSTED), {"security": hero, "day": day, "until": until})
        return house.get(f"{path}/latest")

    close = house.get(f"{path}/history?start_date={second}")["results"][0]["close"]
    try:
        for adjusted in ((last, last), (last, None)):
            found = latest(*adjusted)
            assert (found["previous_close"], found["adjusted_as_of"]) == (
                close,
                adjusted[1] and adjusted[1].isoformat(),
            )
        shown = [one["adjusted_as_of"] for one in house.get(f"{path}/history")["results"]]
        assert shown == [None, last.isoformat(), None]
        assert latest(None, last)["previous_close"] == close / 2
    finally:
        assert latest(None, None)["previous_close"] == close / 2


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
    scores, hero = {"polygon": 0.5, "lexicon": -0.25}, house.ticker(house.shares[HERO])
    assert [tuple(one[name] for name in ("title", "url", "vendors", "scores")) for one in found["articles"]] == [
        ("before the close", "https://news.example/1", ["polygon"], scores),
        ("what was told by then", "https://polygon.example/3", ["polygon"], scores),
    ]
    factors = house.get(f"/api/scores/{hero}/evidence?factor=news_sentiment")["factors"]
    told = [[(one["title"], one["url"]) for one in metric["told"]] for metric in factors[0]["metrics"]]
    articles = [(one["title"], one["url"]) for one in found["articles"]]
    assert told
    assert [one for one in told if one != articles] == []


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


def test_a_pool_that_is_used_up_is_unavailable_and_lost_connections_are_made_again(house, monkeypatch):
    monkeypatch.setattr(reads, "CONNECTIONS", 1)

    async def tried() -> None:
        found = Reads(lambda: house.engine.url)
        try:
            await found.rows("api_newest")
            assert found._pool is not None
            monkeypatch.setattr(reads, "WAIT_SECONDS", 0.1)
            async with found._pool.acquire() as connection:
                with pytest.raises(Unavailable):
                    await found.rows("api_newest")
                pid = connection.get_server_pid()
            house.rows("SELECT pg_terminate_backend(:pid, 5000)", pid=pid)  # as a restart does
            with contextlib.suppress(Unavailable):  # the loss may not be noticed yet
                await found.rows("api_newest")
            assert await found.rows("api_newest")
        finally:
            await found.close()

    asyncio.run(tried())


def test_a_database_that_is_not_there_is_unavailable(house):
    reads = Reads(lambda: house.engine.url.set(database="closingbell_of_nobody"))
    with pytest.raises(Unavailable):
        asyncio.run(reads.rows("api_newest"))


def test_health_shows_how_fresh_each_table_is(house):
    found = house.client.get("/health").json()
    assert (found["status"], found["newest_session"]) == ("ok", house.days[-1].isoformat())
    published = {one["table"] for one in found["tables"] if one["seconds_ago"] is not None}
    assert {"ic_scores", "score_inputs"} <= published
    assert published <= {row["dataset"] for row in house.rows("SELECT dataset FROM ops.load_ledger")}
    assert all(one["seconds_ago"] >= 0 for one in found["tables"] if one["table"] in published)


# -- properties -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described() -> Any:
    """The API's own description, as schemathesis reads it (a second of import, so not before it is needed)."""
    import schemathesis

    return schemathesis.openapi.from_dict(main.app.openapi())


OPERATIONS = {path: one["get"] for path, one in main.app.openapi()["paths"].items()}
ASKED = [
    (path, mode)
    for path, one in OPERATIONS.items()
    for mode in (("positive", "negative") if one.get("parameters") else ("positive",))
]


@pytest.mark.parametrize(("path", "mode"), ASKED)
def test_schemathesis_finds_no_answer_that_is_not_described(house, described, path, mode):
    """No server error, a status, a type and a body as described; what is wrong is refused, what is right is not."""
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import ignored_auth

    operation, generation, key = described[path]["GET"], GenerationMode(mode), {"X-API-Key": house.key}
    name = path.partition("{")[2].partition("}")[0]
    there = (house.ticker(house.shares[HERO]), "RENAMED", "REUSED") if name and generation.is_positive else ()
    cases = [
        operation.as_strategy(generation_mode=generation, headers=key, path_parameters=fixed)
        for fixed in ({}, *({name: ticker} for ticker in there))
    ]

    @given(case=st.one_of(cases))
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    def asked(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url="http://testserver", headers=key)
        answer = house.client.request(**{one: sent[one] for one in ("method", "url", "params", "headers")})
        case.validate_response(answer, excluded_checks=[ignored_auth])  # asks again, of a server; see tests/unit

    asked()
