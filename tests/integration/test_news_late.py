"""Opinions and scores that come late: copies published beside another run, tickers known after their news."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from load_steps import published_after, rows
from sqlalchemy import Engine, text

from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.settings import settings
from closingbell.warehouse import overrides

HEADER = "Date,Open,High,Low,Close,Adj close,Volume,Sentiment_gpt,News_flag,Scaled_sentiment"
FIRST = date(2024, 6, 3)
TITLE, URL, TOLD_AT = "Acme shares plunge after a recall of trucks", "https://acme.com/recall", "2024-06-05T12:00:00Z"


class Deployment:
    """A warehouse without a vendor: news come as files, one ticker a company."""

    def __init__(self, engine: Engine, landing: Landing, folder: Path) -> None:
        self.engine, self.landing, self.folder = engine, landing, folder

    def named(self, name: str, run_id: str, **params: Any) -> Run:
        return Run(
            dag_id="news_sentiment", run_id=run_id, partition_key="2024-07-12", engine=self.engine,
            landing=self.landing, params=params,
        )  # fmt: skip

    def run(self, name: str, run_id: str, **params: Any) -> dict[str, int]:
        return dict(base.run_load(LOADS[name], self.named(name, run_id, **params)))[self.table(name)]

    def all(self, run_id: str, **params: Any) -> list[dict[str, int]]:
        return [
            self.run(name, run_id, **params) for name in ("news", "news_articles", "news_sentiment", "sentiment_daily")
        ]

    def replay(self, name: str) -> dict[str, int]:
        return dict(base.replay(LOADS[name], self.named(name, f"replay {name}")))[self.table(name)]

    def list(self, security_id: int, ticker: str) -> None:
        with self.engine.begin() as connection:
            values = {"id": security_id, "ticker": ticker}
            connection.execute(
                text(
                    "INSERT INTO closingbell.securities (security_id, name, type, fetched_at)"
                    " VALUES (:id, :ticker, 'CS', '2024-01-02')"
                ),
                values,
            )
            connection.execute(
                text(
                    "INSERT INTO closingbell.ticker_history (ticker, valid_from, security_id, fetched_at)"
                    " VALUES (:ticker, '2002-05-23', :id, '2024-01-02')"
                ),
                values,
            )

    def scores(self, security_id: int) -> list[tuple[str, int]]:
        """How many scores each model has given the security."""
        counted = "SELECT model, count(*) FROM closingbell.news_sentiment WHERE security_id = :id GROUP BY 1 ORDER BY 1"
        return rows(self.engine, counted, id=security_id)

    def series(self, ticker: str) -> str:
        """FNSPID's series of the ticker: an opinion on each of ten days."""
        lines = [f"{FIRST + timedelta(days=n)} 00:00:00+00:00,1,1,1,1,1,1,{1 + n % 5},1.0,0.5" for n in range(10)]
        return self._file(f"{ticker}.csv", "\n".join([HEADER, *lines, ""]))

    def story(self) -> str:
        """Tiingo's story about AAA, which says no opinion."""
        story = {
            "id": 7, "title": TITLE, "description": None, "source": "acme.com", "url": URL, "publishedDate": TOLD_AT,
            "crawlDate": TOLD_AT, "tickers": ["aaa"], "tags": [],
        }  # fmt: skip
        return self._file("tiingo_news.json", json.dumps([story]))

    def copy(self) -> str:
        """Polygon's copy of that story, with an opinion."""
        insight = {"ticker": "AAA", "sentiment": "positive", "sentiment_reasoning": "They sell."}
        story = {
            "id": "p", "title": TITLE, "publisher": {"name": "Wire"}, "article_url": URL, "published_utc": TOLD_AT,
            "tickers": ["AAA"], "insights": [insight],
        }  # fmt: skip
        return self._file("polygon_news.json", json.dumps({"status": "OK", "results": [story]}))

    def _file(self, name: str, content: str) -> str:
        (self.folder / name).write_text(content)
        return str(self.folder / name)

    @staticmethod
    def table(name: str) -> str:
        return {"news": "news_sightings"}.get(name, name)


@pytest.fixture
def deployment(database, landing, tmp_path, monkeypatch) -> Iterator[Deployment]:
    monkeypatch.setenv("CLOSINGBELL_MARKET_ENDS_ON", "2024-07-12")
    settings.cache_clear()
    yield Deployment(database, landing, tmp_path)
    settings.cache_clear()


def unchanged(counts: dict[str, int]) -> bool:
    return not counts["inserted"] + counts["updated"] + counts["deleted"]


def test_an_opinion_that_another_run_publishes_meanwhile_is_not_lost(deployment):
    deployment.list(1, "AAA")
    deployment.all("first", from_files=[deployment.story()])
    deployment.run("news", "import", from_files=[deployment.copy()])
    with published_after(LOADS["news_articles"], deployment.named("news_articles", "import")):
        assert unchanged(deployment.run("news_sentiment", "beside", full=True))
    with published_after(LOADS["news_sentiment"], deployment.named("news_sentiment", "import")):
        deployment.run("sentiment_daily", "beside")
    assert deployment.scores(1) == [("lexicon", 1), ("polygon", 1)]
    deployment.run("sentiment_daily", "next")
    assert unchanged(deployment.replay("news_sentiment"))
    assert unchanged(deployment.replay("sentiment_daily"))


def test_what_a_run_published_before_it_was_cleared_is_read_too(deployment):
    deployment.list(1, "AAA")
    deployment.all("first", from_files=[deployment.story()])
    deployment.run("news", "import", from_files=[deployment.copy()])
    with published_after(LOADS["news_articles"], deployment.named("news_articles", "import")):
        deployment.run("news_sentiment", "beside", full=True)
    assert unchanged(deployment.run("news_articles", "import"))  # cleared: nothing is new to it
    deployment.run("news_sentiment", "import")
    assert deployment.scores(1) == [("lexicon", 1), ("polygon", 1)]


def test_news_whose_ticker_is_known_later_gets_its_opinions_and_scores_then(deployment):
    deployment.list(2, "BBB")
    deployment.all("early", from_files=[deployment.series("AAA"), deployment.story()])
    assert not rows(deployment.engine, "SELECT FROM closingbell.news_sentiment")
    shown = "SELECT severity, passed, observed -> 'rows' FROM ops.audit_results WHERE expectation = 'tickers_known'"
    assert rows(deployment.engine, shown) == [("warning", False, [{"stories": 11, "of_nobody": 11}])]
    deployment.all("others", from_files=[deployment.series("BBB")])
    assert [passed for _, passed, _ in rows(deployment.engine, shown)].count(True) == 1

    deployment.list(1, "AAA")
    deployment.run("news_sentiment", "after universe")
    deployment.run("sentiment_daily", "after universe")
    assert deployment.scores(1) == [("fnspid", 10), ("lexicon", 1)]
    assert LOADS["news_sentiment"].plan(deployment.named("news_sentiment", "again")) == []
    assert unchanged(deployment.replay("news_sentiment"))
    assert unchanged(deployment.replay("sentiment_daily"))

    overrides.add(deployment.engine, "exclude_security", {"security_id": 1}, reason="a shell", author="operator")
    deployment.run("news_sentiment", "without", full=True)
    assert deployment.scores(1) == []
    assert LOADS["news_sentiment"].plan(deployment.named("news_sentiment", "left out")) == []
