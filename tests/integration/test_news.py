"""News end to end: the simulated vendors' own account against the tables, clean, again, with faults, and hostile."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from load_steps import killed_before_publishing
from sqlalchemy import Engine, text

from closingbell import connections, hooks
from closingbell.audits.runner import AuditFailed
from closingbell.hooks.errors import AuthFailed, RateLimited, VendorError
from closingbell.hooks.gemini import Gemini
from closingbell.hooks.tiingo import Tiingo
from closingbell.landing import Landing
from closingbell.news import lexicon, models, pages
from closingbell.news.parse import canonical_url
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.sandbox.faults import rates
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.sandbox.simulated.news import Copy, News
from closingbell.sessions import close_of, last_sessions
from closingbell.settings import REPOSITORY, settings
from closingbell.warehouse import db
from fixtures import tiny_bert

STEPS = ("news", "news_articles", "news_sentiment", "sentiment_daily")
TABLES = ("news_sightings", "news_members", "news_articles", "news_sentiment", "sentiment_daily")
FAULTS = '{"429": 0.1, "5xx": 0.05, "truncated": 0.05, "duplicates": 0.2, "retry_after": 0.01}'


class Deployment:
    """A warehouse that knows the market's tickers, a landing zone, and the sandbox that the connections point at."""

    def __init__(self, engine: Engine, folder: Any, box: Sandbox) -> None:
        self.engine, self.landing, self.box = engine, Landing(str(folder), engine), box

    def run(self, name: str, run_id: str, **params: Any) -> dict[str, dict[str, int]]:
        run = Run(dag_id=name, run_id=run_id, partition_key="2025-12-05", engine=self.engine, landing=self.landing,
                  params=params)  # fmt: skip
        return base.run_load(LOADS[name], run)

    def all(self, run_id: str, **params: Any) -> dict[str, dict[str, int]]:
        counts: dict[str, dict[str, int]] = {}
        for name in STEPS:
            counts |= self.run(name, run_id, **params)
        return counts

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(f"SELECT * FROM closingbell.{table}")).mappings()]


def _deployed(market: Any, url: str, folder: Any, faults: str = "") -> Iterator[Deployment]:
    box = Sandbox(market, mode="simulated", seed=7, faults=rates(faults) if faults else None)
    with pytest.MonkeyPatch.context() as environment, running(box) as address:
        for name, value in connections.environment(address).items():
            environment.setenv(name, value)
        environment.delenv("AIRFLOW_CONN_GEMINI")  # with it every run would ask it
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        settings.cache_clear()
        engine = db.engine(url)
        _list_tickers(engine, market)
        yield Deployment(engine, folder, box)
    settings.cache_clear()


def _list_tickers(engine: Engine, market: Any) -> None:
    """What the pipeline universe publishes of the market's tickers."""
    tickers = market.truth.tickers(market.default_clock)
    figis = sorted(set(tickers["figi"]))
    with engine.begin() as connection:
        for number, figi in enumerate(figis, 1):
            cik = tickers.filter(pl.col("figi") == figi)["cik"][0]
            connection.execute(
                text(
                    "INSERT INTO closingbell.securities (security_id, cik, figi, name, type, fetched_at)"
                    " VALUES (:id, :cik, :figi, :figi, 'CS', now())"
                ),
                {"id": number, "cik": cik, "figi": figi},
            )
        for row in tickers.iter_rows(named=True):
            connection.execute(
                text(
                    "INSERT INTO closingbell.ticker_history (ticker, valid_from, valid_to, security_id, fetched_at)"
                    " VALUES (:ticker, :valid_from, :valid_to, :id, now())"
                ),
                {name: row[name] for name in ("ticker", "valid_from", "valid_to")}
                | {"id": 1 + figis.index(row["figi"])},
            )


@pytest.fixture(scope="module")
def market() -> Any:
    return open_market("simulated", seed=7, companies=25)


@pytest.fixture(scope="module")
def clean(market, new_database, migrated_template, tmp_path_factory) -> Iterator[Deployment]:
    """The empty tables' first run, at the sandbox's own time."""
    for deployment in _deployed(market, new_database(migrated_template), tmp_path_factory.mktemp("clean")):
        deployment.first = deployment.all("first")  # type: ignore[attr-defined]
        yield deployment


@pytest.fixture
def fresh(market, new_database, migrated_template, tmp_path) -> Iterator[Deployment]:
    market.news.changed.clear()
    market.news.forbidden.clear()
    yield from _deployed(market, new_database(migrated_template), tmp_path)
    market.news.changed.clear()
    market.news.forbidden.clear()


@pytest.fixture
def gemini(fresh, monkeypatch) -> None:
    """The connection of the sandbox's Gemini, with a key."""
    polygon = json.loads(os.environ["AIRFLOW_CONN_POLYGON"])
    url = polygon["host"].replace("/polygon", "")
    monkeypatch.setenv("AIRFLOW_CONN_GEMINI", connections.environment(url)["AIRFLOW_CONN_GEMINI"])


def served(news: News, now: datetime, days: int = 30) -> dict[tuple[str, str], Copy]:
    """What the vendors serve to who asks for so many days: Tiingo whole UTC days, the web what is on its pages."""
    first = now - timedelta(days=days)
    midnight = datetime.combine(first.date(), time(), UTC)
    shown = {copy.vendor_id for source in pages.sources() for copy in news.on_page(source.name, now)}
    return {
        (copy.vendor, copy.vendor_id): copy
        for copy in news.copies(midnight, now)
        if (copy.vendor_id in shown if copy.vendor == "web" else copy.vendor == "tiingo" or copy.published_at >= first)
    }


def stories(copies: dict[tuple[str, str], Copy]) -> list[list[tuple[str, str]]]:
    """The copies of each story."""
    told: dict[str, list[tuple[str, str]]] = {}
    for key, copy in copies.items():
        told.setdefault(copy.story.number, []).append(key)
    return sorted(sorted(keys) for keys in told.values())


def articles(deployment: Deployment) -> list[list[tuple[str, str]]]:
    told: dict[int, list[tuple[str, str]]] = {}
    for row in deployment.rows("news_members"):
        told.setdefault(row["article_id"], []).append((row["vendor"], row["vendor_id"]))
    return sorted(sorted(keys) for keys in told.values())


def test_every_copy_is_published_as_its_vendor_told_it(clean, market):
    truth = served(market.news, market.default_clock)
    rows = {(row["vendor"], row["vendor_id"]): row for row in clean.rows("news_sightings")}
    assert rows.keys() == truth.keys()
    assert {vendor for vendor, _ in rows} == {"polygon", "tiingo", "marketaux", "web"}
    for key, copy in truth.items():
        row = rows[key]
        assert (row["title"], row["source"], row["published_at"]) == (copy.title, copy.source, copy.published_at)
        assert row["url"] == canonical_url(copy.url)
        assert row["tickers"] == sorted(copy.story.tickers)
        assert clean.landing.sha256([row["landing_id"]])


def test_one_story_of_several_vendors_is_one_article(clean, market):
    truth = served(market.news, market.default_clock)
    assert articles(clean) == stories(truth)
    assert max(len(keys) for keys in stories(truth)) == 4
    of = {row["article_id"]: row for row in clean.rows("news_articles")}
    for row in clean.rows("news_members"):
        copies = [copy for copy in truth.values() if copy.story is truth[row["vendor"], row["vendor_id"]].story]
        article = of[row["article_id"]]
        assert article["published_at"] == min(copy.published_at for copy in copies)
        assert set(article["vendors"]) == {copy.vendor for copy in copies}
        assert set(article["sources"]) == {copy.source for copy in copies}


def test_vendors_opinions_and_the_lexicons_are_each_articles_sentiment(clean, market):
    truth = served(market.news, market.default_clock)
    story_of = {row["article_id"]: truth[row["vendor"], row["vendor_id"]].story for row in clean.rows("news_members")}
    ids = {(row["ticker"]): row["security_id"] for row in clean.rows("ticker_history") if row["valid_to"] is None}
    rows = {(row["article_id"], row["security_id"], row["model"]): row for row in clean.rows("news_sentiment")}
    vendors = {row["article_id"]: set(row["vendors"]) for row in clean.rows("news_articles")}
    expected = {
        (article, ids[ticker], model)
        for article, story in story_of.items()
        for ticker in story.tickers
        for model in {"lexicon"} | (vendors[article] & {"polygon", "marketaux"})
    }
    assert rows.keys() == expected
    for (article, security, model), row in rows.items():
        story = story_of[article]
        main = security == ids[story.tickers[0]]
        # a vendor's opinion is known when that vendor tells the story, which may be after another did
        copies = [copy for copy in truth.values() if copy.story is story]
        told = [copy.published_at for copy in copies if copy.vendor == model] or [c.published_at for c in copies]
        assert row["known_at"] in told, (model, copies)
        if model == "polygon":
            assert row["score"] == (story.mood if main else 0)
        elif model == "marketaux":
            assert row["score"] == pytest.approx(0.6 * story.mood if main else 0)
            assert row["relevance"] == (1.0 if main else 0.25)
        else:
            assert row["model_version"] == lexicon.VERSION
            assert -1 <= row["score"] <= 1


def test_a_sessions_mood_is_what_its_close_knew(clean, market):
    known = [row | {"source": row["model"]} for row in clean.rows("news_sentiment")]
    for session in (market.last_session, last_sessions(market.last_session, 8)[0]):
        close = close_of(session)
        rows = {row["security_id"]: row for row in clean.rows("sentiment_daily") if row["session"] == session}
        within = [row for row in known if close - timedelta(days=30) < row["known_at"] <= close]
        assert rows.keys() == {row["security_id"] for row in within}
        for security, row in rows.items():
            means = []
            of = [score for score in within if score["security_id"] == security]
            for source in sorted({score["source"] for score in of}):
                mine = [
                    (s["score"], 1 if s["relevance"] is None else s["relevance"]) for s in of if s["source"] == source
                ]
                means.append(sum(score * weight for score, weight in mine) / sum(weight for _, weight in mine))
                assert row["by_source"][source]["sentiment_30d"] == pytest.approx(means[-1])
            assert row["sentiment_30d"] == pytest.approx(sum(means) / len(means))
            assert row["articles_30d"] == len({score["article_id"] for score in of})
            newest = max(score["known_at"] for score in of)
            assert row["hours_since"] == pytest.approx((close - newest).total_seconds() / 3600)
            assert row["known_at"] == close
    assert min(row["session"] for row in clean.rows("sentiment_daily")) < date(2025, 11, 10)


def test_an_identical_rerun_changes_no_row(clean):
    before = {table: clean.rows(table) for table in TABLES}
    for params in ({}, {"backfill": 30}):
        for table, counts in clean.all(f"again {params}", **params).items():
            assert counts["inserted"] == counts["updated"] == counts["deleted"] == 0, (table, params, counts)
    assert {table: clean.rows(table) for table in TABLES} == before


def test_a_replay_from_the_landing_zone_gives_the_same_rows(clean):
    before = {table: clean.rows(table) for table in TABLES}
    with clean.engine.begin() as connection:
        for table in TABLES:
            connection.execute(text(f"TRUNCATE closingbell.{table}"))
    for name in STEPS[:3]:
        run = Run(dag_id=f"replay_{name}", run_id="r", partition_key="all", engine=clean.engine, landing=clean.landing)
        base.replay(LOADS[name], run)
    clean.run("sentiment_daily", "after the replay")
    for table in TABLES:
        key = [*db.query(clean.engine, "table_columns", schema="closingbell", table=table)["name"]]
        left_out = {"landing_id", "fetched_at", "read_at", "first_seen_at"}
        wanted = [name for name in key if name not in left_out]
        found, expected = (
            sorted(str([row[n] for n in wanted]) for row in rows) for rows in (clean.rows(table), before[table])
        )
        assert [pair for pair in zip(found, expected, strict=False) if pair[0] != pair[1]][:2] == [], table
        assert len(found) == len(expected), table


def test_a_replay_splits_two_stories_that_older_rules_united_and_forgets_what_one_was_said_to_say_of_the_other(clean):
    wanted = {
        "news_members": ("vendor", "vendor_id", "article_id"),
        "news_articles": ("article_id", "title", "tickers", "vendors", "published_at"),
        "news_sentiment": ("article_id", "security_id", "model", "score", "known_at"),
        "sentiment_daily": ("security_id", "session", "sentiment_30d", "articles_30d"),
    }

    def contents() -> dict[str, list[str]]:
        return {
            table: sorted(str([row[name] for name in names]) for row in clean.rows(table))
            for table, names in wanted.items()
        }

    before = contents()
    told = {row["article_id"]: row for row in clean.rows("news_articles")}
    two = [row for row in told.values() if row["vendors"] == ["polygon"]]
    into = two[0]["article_id"]
    taken = next(row["article_id"] for row in two if not set(row["tickers"]) & set(two[0]["tickers"]))
    with clean.engine.begin() as connection:
        for statement in (
            "UPDATE closingbell.news_members SET article_id = :into WHERE article_id = :taken",
            "UPDATE closingbell.news_sentiment SET article_id = :into WHERE article_id = :taken",
            "DELETE FROM closingbell.news_articles WHERE article_id = :taken",
            "INSERT INTO closingbell.news_articles SELECT (jsonb_populate_record(a, '{\"article_id\": 1}')).* "
            "FROM closingbell.news_articles AS a WHERE article_id = :into",  # which no copy tells
        ):
            connection.execute(text(statement), {"into": into, "taken": taken})
    assert contents() != before
    for name in STEPS[1:]:
        run = Run(
            dag_id=f"replay_{name}", run_id="split", partition_key="all", engine=clean.engine, landing=clean.landing
        )
        base.replay(LOADS[name], run)
    after = contents()
    for table, rows in before.items():
        assert after[table] == rows, table


def test_the_day_before_and_then_the_last_hours_equal_one_run(clean, fresh, market):
    fresh.box.clock = market.default_clock - timedelta(hours=30)
    fresh.all("yesterday")
    early = len(fresh.rows("news_articles"))
    fresh.box.clock = market.default_clock
    counts = fresh.all("today")
    assert counts["news_sightings"]["inserted"] > 0
    assert len(fresh.rows("news_articles")) > early
    late = {key for key in served(market.news, market.default_clock)}
    mine = [[key for key in keys if key in late] for keys in articles(fresh)]
    assert sorted(keys for keys in mine if keys) == articles(clean)
    theirs = {row["security_id"]: row["sentiment_7d"] for row in clean.rows("sentiment_daily")
              if row["session"] == market.last_session}  # fmt: skip
    for row in fresh.rows("sentiment_daily"):
        if row["session"] == market.last_session:
            assert row["sentiment_7d"] == pytest.approx(theirs[row["security_id"]])


def test_with_faults_the_stories_equal_the_ground_truth(fresh, market):
    fresh.box.faults.change(rates(FAULTS))
    for attempt in range(5):  # Airflow's retries, and the next scheduled run
        with contextlib.suppress(VendorError):
            fresh.all(f"try {attempt}", backfill=30)
        if not db.query(fresh.engine, "doctor_failures").height:
            break
    assert articles(fresh) == stories(served(market.news, market.default_clock))


def test_a_page_that_changed_fails_by_its_name_and_the_others_go_on(fresh, market, caplog):
    market.news.changed.add("prnewswire")
    counts = fresh.run("news", "changed")
    names = {row["vendor_id"].partition(":")[0] for row in fresh.rows("news_sightings") if row["vendor"] == "web"}
    assert names == {"globenewswire", "businesswire"}
    assert counts["news_sightings"]["inserted"] > 200
    assert "web prnewswire" in caplog.text
    assert "the page has changed" in caplog.text
    failed = db.query(fresh.engine, "doctor_failures")
    assert "prnewswire" in str(failed.rows())
    market.news.changed.clear()
    fresh.run("news", "mended")
    assert db.query(fresh.engine, "doctor_failures").is_empty()


def test_answers_that_changed_are_a_warning_by_stream_and_asked_for_again(fresh, market):
    fresh.box.faults.change(rates('{"drift": 1.0}'))
    fresh.run("news", "changed", hours=24)
    with fresh.engine.connect() as connection:
        asked = "SELECT vendor, key FROM ops.fetch_failures WHERE resolved_at IS NULL"
        failed = {tuple(row) for row in connection.execute(text(asked))}
        shown = "SELECT passed, severity FROM ops.audit_results WHERE expectation = 'streams_read'"
        assert [tuple(row) for row in connection.execute(text(shown))] == [(False, "warning")]
    assert failed >= {("polygon", "polygon"), ("tiingo", "tiingo"), ("web", "prnewswire")}
    symbols = {key for vendor, key in failed if vendor == "marketaux"}
    assert symbols
    assert all(key.startswith("marketaux:") for key in symbols)
    since = market.default_clock - timedelta(days=1)
    read = set(db.query(fresh.engine, "news_read_to", since=since)["stream"])
    assert not read & ({"polygon", "tiingo"} | symbols), "what was not read is not marked so"
    fresh.box.faults.change(rates("{}"))
    fresh.run("news", "mended", hours=24)
    rows = {(row["vendor"], row["vendor_id"]) for row in fresh.rows("news_sightings")}
    assert rows >= served(market.news, market.default_clock, days=1).keys()
    assert db.query(fresh.engine, "doctor_failures").is_empty()


def test_the_only_stream_that_changed_fails_the_run(fresh, monkeypatch):
    for vendor in ("TIINGO", "MARKETAUX", "WEB"):
        monkeypatch.delenv(f"AIRFLOW_CONN_{vendor}")
    fresh.box.faults.change(rates('{"drift": 1.0}'))
    with pytest.raises(ValueError, match="polygon news: column"):
        fresh.run("news", "changed")


def test_a_robots_txt_that_forbids_is_obeyed_and_named(fresh, market):
    market.news.forbidden.add("businesswire")
    fresh.run("news", "forbidden")
    rows = fresh.engine.connect().execute(text("SELECT key, error FROM ops.fetch_failures WHERE vendor = 'web'")).all()
    assert [row.key for row in rows] == ["businesswire"]
    assert "robots.txt of feed.businesswire.com forbids /rss/home/" in rows[0].error
    asked = (
        fresh.engine.connect().execute(text("SELECT count(*) FROM ops.landings WHERE key = 'businesswire'")).scalar()
    )
    assert asked == 0


def test_geminis_opinions_pass_and_what_an_article_ordered_is_dropped_and_counted(fresh, gemini, market, caplog):
    for name in STEPS[:2]:
        fresh.run(name, "first", hours=24 * 8)
    caplog.set_level("INFO")
    fresh.run("news_sentiment", "first", model="auto")  # as scheduled: it has a key, and FinBERT is not here
    truth = served(market.news, market.default_clock, days=9)
    story_of = {row["article_id"]: truth[row["vendor"], row["vendor_id"]].story for row in fresh.rows("news_members")}
    rows = [row for row in fresh.rows("news_sentiment") if row["model"] == "gemini"]
    ordered = {article for article, story in story_of.items() if story.orders}
    assert ordered
    assert {row["article_id"] for row in rows} == story_of.keys() - ordered
    assert all(-1 <= row["score"] <= 1 and row["impact"] == 0.4 and row["landing_id"] for row in rows)
    assert f"'unknown_ticker': {len(ordered)}" in caplog.text
    asked = fresh.box.faults.counts["requests"]
    fresh.run("news_sentiment", "again")
    assert fresh.box.faults.counts["requests"] == asked, "each article is asked about once"
    assert "EVIL" not in json.dumps([str(row) for row in fresh.rows("news_sentiment")])


def test_an_article_that_gemini_refuses_is_asked_about_three_times_and_no_more(fresh, gemini, market, monkeypatch):
    for name in STEPS[:2]:
        fresh.run(name, "first", hours=24)
    refused = fresh.rows("news_articles")[0]["title"]
    asked: list[str] = []
    truthful = News.judged

    def judged(self: News, body: bytes, model: str) -> dict[str, Any]:
        if json.dumps(refused)[1:-1] not in json.loads(body)["contents"][0]["parts"][0]["text"]:
            return truthful(self, body, model)
        asked.append(refused)
        return {"candidates": [{"finishReason": "SAFETY", "index": 0}], "modelVersion": model}

    monkeypatch.setattr(News, "judged", judged)
    for number in range(5):
        fresh.run("news_sentiment", f"run {number}", model="gemini")
    assert len(asked) == 3
    scored = {row["article_id"] for row in fresh.rows("news_sentiment") if row["model"] == "gemini"}
    assert len(scored) >= len(fresh.rows("news_articles")) - 2
    fresh.run("news_sentiment", "all again", model="gemini", full=True)
    assert len(asked) == 4, "an operator may ask again"


def test_gemini_that_is_busy_leaves_the_rest_to_the_next_run(fresh, gemini, market, monkeypatch, caplog):
    for name in STEPS[:2]:
        fresh.run(name, "first", hours=24)

    truthful, asked = Gemini.generate_content, []

    def busy(self: Gemini, body: Any, key: str) -> Any:
        if len(asked) == 5:
            raise RateLimited("gemini", "generate_content", key, 429, "RESOURCE_EXHAUSTED", retry_after=3600.0)
        asked.append(int(key.partition(":")[0]))
        return truthful(self, body, key)

    with monkeypatch.context() as patch:
        patch.setattr(Gemini, "generate_content", busy)
        fresh.run("news_sentiment", "busy", model="gemini")
    naming = {row["article_id"]: row["published_at"] for row in fresh.rows("news_mentions")}
    newest = sorted(naming, key=lambda id_: (naming[id_], id_), reverse=True)
    assert asked == newest[:5]
    scored = {row["article_id"] for row in fresh.rows("news_sentiment") if row["model"] == "gemini"}
    assert 0 < len(scored) <= 5
    assert scored <= set(asked), "what came before the end of the budget counts"
    assert "the articles that are left are asked about by the next run" in caplog.text
    fresh.run("news_sentiment", "later", model="gemini")
    assert scored < {row["article_id"] for row in fresh.rows("news_sentiment") if row["model"] == "gemini"}


def test_marketaux_day_budget_that_is_spent_leaves_the_rest_to_the_next_run(fresh, market, caplog):
    fresh.box.stories_left = 5
    fresh.run("news", "spent")
    vendors = {row["vendor"] for row in fresh.rows("news_sightings")}
    assert vendors >= {"polygon", "tiingo", "web"}
    assert "run again then" in caplog.text
    fresh.box.stories_left = None
    fresh.run("news", "tomorrow")
    assert len([row for row in fresh.rows("news_sightings") if row["vendor"] == "marketaux"]) == len(
        [key for key in served(market.news, market.default_clock) if key[0] == "marketaux"]
    )


def test_stories_that_marketaux_small_plan_leaves_out_are_asked_for_later(fresh, market, monkeypatch):
    for vendor in ("TIINGO", "WEB"):
        monkeypatch.delenv(f"AIRFLOW_CONN_{vendor}")
    free = json.loads(os.environ["AIRFLOW_CONN_MARKETAUX"]) | {"extra": {"plan": "free"}}
    monkeypatch.setenv("AIRFLOW_CONN_MARKETAUX", json.dumps(free))
    monkeypatch.setitem(hooks.ALLOWANCES["marketaux"], "free", hooks.Allowance(200, burst=20, day_limit=480))
    since = market.default_clock - timedelta(days=30)
    truth = {key for key in served(market.news, market.default_clock) if key[0] == "marketaux"}

    def loaded(run_id: str, **params: Any) -> set[tuple[str, str]]:
        fresh.run("news", run_id, **params)
        rows = {(row["vendor"], row["vendor_id"]) for row in fresh.rows("news_sightings")}
        return {key for key in rows if key[0] == "marketaux"}

    first = loaded("first")
    assert first < truth, "three stories of each symbol"
    unread = set(db.query(fresh.engine, "news_read_to", since=since)["read_to"])
    assert unread == {since, market.default_clock}, "what was left out is not marked as read"
    assert loaded("hours", hours=1) == first, "a window is asked for alone"
    assert loaded("second") == truth
    assert set(db.query(fresh.engine, "news_read_to", since=since)["read_to"]) == {market.default_clock}


def test_no_token_is_landed_logged_or_stored(clean, caplog):
    statement = text("SELECT count(*) FROM ops.landings WHERE request::text LIKE :secret OR key LIKE :secret")
    with clean.engine.connect() as connection:
        assert connection.execute(statement, {"secret": f"%{connections.SANDBOX_KEY}%"}).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM ops.landings WHERE vendor = 'marketaux'")).scalar() > 5


def test_what_a_narrow_run_or_a_failing_vendor_left_out_is_asked_for_by_the_next_run(fresh, market, monkeypatch):
    copies = served(market.news, market.default_clock)
    ticker = max(
        {t for c in copies.values() for t in c.story.tickers},
        key=lambda t: sum(t in c.story.tickers for c in copies.values()),
    )
    fresh.run("news", "one", tickers=[ticker])
    assert {key for key, copy in copies.items() if ticker in copy.story.tickers and key[0] != "web"} == {
        (row["vendor"], row["vendor_id"]) for row in fresh.rows("news_sightings")
    }
    since = market.default_clock - timedelta(days=30)
    assert set(db.query(fresh.engine, "news_read_to", since=since)["stream"]) == {f"marketaux:{ticker}"}
    with monkeypatch.context() as patch:
        patch.setattr(Tiingo, "news", refuses)
        fresh.run("news", "hours", hours=24)
    read = dict(db.query(fresh.engine, "news_read_to", since=since).iter_rows())
    assert "tiingo" not in read
    assert read["polygon"] == since, "29 days before these hours were never read"
    assert read[f"marketaux:{ticker}"] == market.default_clock
    fresh.run("news", "the rest")
    assert {(row["vendor"], row["vendor_id"]) for row in fresh.rows("news_sightings")} == copies.keys()
    read = dict(db.query(fresh.engine, "news_read_to", since=since).iter_rows())
    assert set(read.values()) == {market.default_clock}


def refuses(self: Tiingo, *asked: Any) -> Iterator[Any]:
    raise AuthFailed("tiingo", "news", "all", 403, "the plan lacks it")
    yield


def test_a_story_told_anew_after_the_close_stays_as_the_close_knew_it(fresh, market, monkeypatch):
    fresh.all("first", hours=24)
    before = {name: fresh.rows(name) for name in ("news_sightings", "news_sentiment")}
    truthful = News.polygon
    other = next(row["ticker"] for row in fresh.rows("ticker_history") if row["valid_to"] is None)

    def rewritten(self: News, *asked: Any) -> list[dict[str, Any]]:
        rows = truthful(self, *asked)
        for number, row in enumerate(rows):  # dated anew after the close, or before one that did not know it
            dated = "2025-12-01T15:00:00Z" if number % 2 else "2025-12-05T22:30:00Z"
            row |= {"title": "Rewritten", "description": "Rewritten.", "published_utc": dated}
            for insight in row["insights"]:
                insight["sentiment"] = "negative"
            row["insights"].append({"ticker": other, "sentiment": "positive", "sentiment_reasoning": "New."})
            row["tickers"] = sorted({*row["tickers"], other})
        return rows

    monkeypatch.setattr(News, "polygon", rewritten)
    fresh.all("again", hours=25)
    now = {row["vendor_id"]: row for row in fresh.rows("news_sightings")}
    for row in before["news_sightings"]:
        for name in ("title", "summary", "published_at", "url", "first_seen_at"):
            assert now[row["vendor_id"]][name] == row[name]
    key = ("article_id", "security_id", "model", "score", "known_at")
    found = {tuple(row[name] for name in key) for row in fresh.rows("news_sentiment")}
    known = {tuple(row[name] for name in key) for row in before["news_sentiment"]}
    assert known <= found
    added = [row for row in fresh.rows("news_sentiment") if tuple(row[name] for name in key) not in known]
    old = {row["article_id"] for row in before["news_sentiment"]}
    added = [row for row in added if row["article_id"] in old]
    assert {(row["score"], row["known_at"]) for row in added if row["model"] == "polygon"} == {
        (1.0, market.default_clock)
    }
    assert {row["known_at"] for row in added if row["model"] == "lexicon"} == {market.default_clock}


def test_files_of_fnspid_and_of_vendors_load_by_the_same_path(fresh, tmp_path, market):
    ticker = next(row["ticker"] for row in fresh.rows("ticker_history") if row["valid_to"] is None)
    header = "Date,Open,High,Low,Close,Adj close,Volume,Sentiment_gpt,News_flag,Scaled_sentiment\n"
    series = "2024-06-03 00:00:00+00:00,1,1,1,1,1,1,4.5,1.0,0.9\n2024-06-04 00:00:00+00:00,1,1,1,1,1,1,2.0,0.0,0.3\n"
    (tmp_path / f"{ticker}.csv").write_text(header + series)
    rows = market.news.tiingo(date(2025, 12, 4), date(2025, 12, 4), [], market.default_clock)
    (tmp_path / "tiingo_news.json").write_text(json.dumps(rows))
    files = [str(tmp_path / f"{ticker}.csv"), str(tmp_path / "tiingo_news.json")]
    counts = fresh.all("files", from_files=files)
    assert counts["news_sightings"]["inserted"] == 1 + len(rows)
    scores = [row for row in fresh.rows("news_sentiment") if row["model"] == "fnspid"]
    assert [(row["score"], row["known_at"]) for row in scores] == [(0.75, datetime(2024, 6, 4, tzinfo=UTC))]
    moods = {row["session"]: row for row in fresh.rows("sentiment_daily") if row["session"].year == 2024}
    assert min(moods) == date(2024, 6, 4)
    assert max(moods) == date(2024, 7, 3)


def test_one_mixed_opinion_among_few_stories_is_quarantined_and_the_stories_are_published(fresh, tmp_path, market):
    rows = market.news.polygon(market.default_clock - timedelta(days=9), None, None, market.default_clock)[:3]
    mixed = [row | {"insights": [row["insights"][0] | {"sentiment": "mixed"}]} for row in rows]
    (tmp_path / "few.json").write_text(json.dumps({"status": "OK", "results": [mixed[0], *rows[1:]]}))
    (tmp_path / "changed.json").write_text(json.dumps({"status": "OK", "results": [rows[0] | {"mood": "new"}]}))
    given = [str(tmp_path / name) for name in ("few.json", "changed.json")]
    counts = fresh.run("news", "few", from_files=given)["news_sightings"]
    assert (counts["inserted"], counts["quarantined"]) == (3, 1)
    with fresh.engine.connect() as connection:
        (kept,) = connection.execute(text("SELECT rule, content FROM ops.quarantine"))
    assert kept.rule == "score_out_of_range"
    assert rows[0]["id"] in str(kept.content)
    shown = "SELECT severity, observed -> 'rows' FROM ops.audit_results WHERE expectation = 'streams_read'"
    with fresh.engine.connect() as connection:
        ((severity, (unread,)),) = connection.execute(text(shown))
    assert (severity, unread["stream"]) == ("warning", "changed")
    assert "column mood is unknown" in unread["error"]
    many = [
        row | {"id": f"{row['id']}{n}", "article_url": f"{row['article_url']}/{n}"} for n in range(10) for row in mixed
    ]
    (tmp_path / "many.json").write_text(json.dumps({"status": "OK", "results": many}))
    with pytest.raises(AuditFailed, match="quarantined_share"):
        fresh.run("news", "many", from_files=[str(tmp_path / "many.json")])


def test_the_dags_step_scores_each_article_once_with_the_trained_bert(fresh, tmp_path, monkeypatch):
    finbert = tmp_path / "finbert"
    finbert.mkdir()
    tiny_bert.train(finbert)
    monkeypatch.setenv("CLOSINGBELL_FINBERT", str(finbert))
    monkeypatch.setenv("CLOSINGBELL_LANDING", str(tmp_path))
    monkeypatch.setenv("CLOSINGBELL_POD_RUNTIME", "local")
    settings.cache_clear()
    for name in STEPS[:2]:
        fresh.run(name, "first", hours=48)
    score = runpy.run_path(str(REPOSITORY / "dags/news_sentiment.py"))["score"]
    due = datetime(2025, 12, 5, 23, 15, tzinfo=UTC)
    dag_run = SimpleNamespace(dag_id="news_sentiment", run_id="first", partition_key=None, run_after=due)
    context = {"dag_run": dag_run, "params": {"model": "auto", "backfill": None, "full": False, "hours": 48}}
    score.render_template_fields(context)
    type(score).execute.__wrapped__(score, context)
    scores = {row["article_id"]: row for row in fresh.rows("news_sentiment") if row["model"] == "finbert"}
    articles = {row["article_id"]: row for row in fresh.rows("news_articles")}
    assert scores.keys() == articles.keys()
    model = models.open_model(finbert)
    assert {row["model_version"] for row in scores.values()} == {model.version}
    assert model.version.endswith("-int8")
    told = [". ".join(filter(None, (articles[id_]["title"], articles[id_]["summary"]))) for id_ in scores]
    assert [row["score"] for row in scores.values()] == pytest.approx(model.scores(told), abs=1e-4)
    assert max(row["score"] for row in scores.values()) > 0.5  # of the words that it was trained on
    again = fresh.run("news_sentiment", "again")["news_sentiment"]
    assert (again["in"], again["inserted"], again["updated"]) == (0, 0, 0)
    monkeypatch.delenv("CLOSINGBELL_FINBERT")
    settings.cache_clear()
    fresh.run("news_sentiment", "another model")
    assert "lexicon" in {row["model"] for row in fresh.rows("news_sentiment")}
    fresh.run("sentiment_daily", "moods")
    counted = {source for row in fresh.rows("sentiment_daily") for source in row["by_source"]}
    assert counted == {"lexicon", "polygon", "marketaux"}, "an article counts with one of the two models"


def test_articles_of_a_run_that_ended_between_two_tables_are_made_by_the_next_one(fresh):
    fresh.run("news", "killed", hours=24)
    for table in ("news_members", "news_articles"):
        with killed_before_publishing(table):
            fresh.run("news_articles", f"killed before {table}")
    fresh.run("news_articles", "next")
    articles = {row["article_id"] for row in fresh.rows("news_articles")}
    assert {row["article_id"] for row in fresh.rows("news_members")} == articles != set()


def test_a_model_that_is_not_configured_is_named(fresh):
    with pytest.raises(ValueError, match="the model finbert needs CLOSINGBELL_FINBERT"):
        fresh.run("news_sentiment", "x", model="finbert")
