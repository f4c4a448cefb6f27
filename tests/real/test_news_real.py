"""What vendors really sent: news bodies, FNSPID's series, Gemini's envelopes."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text

from closingbell.landing import Landing
from closingbell.news.analyst import AnswerError, answer_text, judge
from closingbell.news.parse import fnspid_csv, polygon_news, tiingo_news
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.sandbox.recorded import Recorded

pytestmark = pytest.mark.real


def recorded(recordings: Path, name: str) -> Path:
    path = recordings / name
    if not path.exists():
        pytest.skip(f"no {name} in the recordings")
    return path


def test_polygon_news(recordings):
    body = recorded(recordings, "polygon/client_python_mocks/v2/reference/news&ticker=NFLX.json").read_bytes()
    row = polygon_news(body).sightings.row(0, named=True)
    assert row["tickers"] == ["AMZN", "MSFT", "NFLX", "TSN"]
    assert row["published_at"] == datetime(2022, 4, 28, 17, 8, tzinfo=UTC)
    assert row["source"] == "MarketWatch"
    assert row["url"].startswith("https://www.marketwatch.com/story/theres-a-big-hole")


def test_tiingo_news(recordings):
    folder = recorded(recordings, "tiingo/python_client_vcr")
    row = tiingo_news((folder / "news_0.json").read_bytes()).sightings.row(0, named=True)
    assert row["tickers"] == ["AAPL", "AMZN", "FB", "GOOGL", "MSFT", "NFLX"]
    assert row["published_at"] == datetime(2016, 1, 11, 23, 13, tzinfo=UTC)
    assert row["seen_at"] == datetime(2016, 1, 12, 21, 7, 28, 73309, tzinfo=UTC)
    assert tiingo_news((folder / "news_empty_sources_0.json").read_bytes()).sightings["vendor_id"].to_list() == [
        "29484963"
    ]
    with pytest.raises(ValueError, match="You do not have permission to access the News API"):
        tiingo_news((folder / "news_bulk_0.json").read_bytes())


def test_fnspid_series(recordings):
    folder = recorded(recordings, "fnspid_nc/price_sentiment")
    for path in sorted(folder.glob("*.csv.gz")):
        ticker = path.name.split(".")[0]
        answer = fnspid_csv(path.read_bytes(), ticker=ticker)
        table = pl.read_csv(gzip.decompress(path.read_bytes()))
        news = table.filter(pl.col("News_flag") == 1)
        assert answer.received == news.height > 100
        assert answer.problems.height == 0, answer.problems
        assert answer.opinions["score"].to_list() == pytest.approx(((news["Sentiment_gpt"] - 3) / 2).to_list())
    aapl = fnspid_csv((folder / "AAPL.csv.gz").read_bytes(), ticker="AAPL")
    # the file's first day: 2.4166666666666665 on the 1 to 5 scale; its own Scaled_sentiment says 0.354
    assert aapl.opinions["score"][0] == pytest.approx(-0.2916666666666667)


def test_gemini_envelopes(recordings):
    folder = recorded(recordings, "gemini")
    for path in sorted(folder.glob("test_cli_gemini_models_*.json")):  # a list of models is no answer
        with pytest.raises(AnswerError, match="column candidates is missing"):
            answer_text(path.read_bytes())
    read = {path.stem: answer_text(path.read_bytes()) for path in folder.glob("test_[!c]*.json")}
    text, model = read["test_nested_model_direct_reference_0"]
    assert json.loads(text) == {"name": "Alice", "address": {"street": "123 Main St", "city": "San Francisco"}}
    assert model == "gemini-3.6-flash"
    assert read["test_prompt_0"][0] == "Scoop"
    dogs = json.loads(read["test_prompt_with_multiple_dogs_0"][0])
    with pytest.raises(AnswerError, match="a list of opinions was asked for"):
        judge(json.dumps(dogs if isinstance(dogs, dict) else dogs[0]), tickers=["ACM"])
    assert len(read) >= 10


def test_recorded_bodies_and_series_load_as_files_and_score_by_the_days_tickers(recordings, database, tmp_path):
    paths = [
        recorded(recordings, "polygon/client_python_mocks/v2/reference/news&ticker=NFLX.json"),
        recorded(recordings, "tiingo/python_client_vcr/news_0.json"),
        recorded(recordings, "fnspid_nc/price_sentiment/AAPL.csv.gz"),
    ]
    with database.begin() as connection:
        for number, ticker in enumerate(("AAPL", "NFLX", "MSFT"), 1):
            values = {"id": number, "ticker": ticker}
            connection.execute(
                text(
                    "INSERT INTO closingbell.securities (security_id, name, type, fetched_at)"
                    " VALUES (:id, :ticker, 'CS', now())"
                ),
                values,
            )
            connection.execute(
                text(
                    "INSERT INTO closingbell.ticker_history (ticker, valid_from, security_id, fetched_at)"
                    " VALUES (:ticker, '2002-05-23', :id, now())"
                ),
                values,
            )
    for name in ("news", "news_articles", "news_sentiment", "sentiment_daily"):
        run = Run(
            dag_id=name, run_id="real", partition_key="2022-06-30", engine=database,
            landing=Landing(str(tmp_path), database), params={"from_files": [str(path) for path in paths]},
        )  # fmt: skip
        base.run_load(LOADS[name], run)
    with database.connect() as connection:
        found = connection.execute(
            text(
                "SELECT a.vendors[1] AS vendor, s.model, count(*) AS scores FROM closingbell.news_sentiment s"
                " JOIN closingbell.news_articles a USING (article_id) GROUP BY 1, 2 ORDER BY 1, 2"
            )
        ).all()
        # AAPL.csv.gz, 2022-06-03: 2.4166666666666665, known when its day ends; (x - 3) / 2
        first = connection.execute(
            text("SELECT score FROM closingbell.news_sentiment WHERE model = 'fnspid' ORDER BY known_at LIMIT 1")
        ).scalar()
    assert {(row.vendor, row.model) for row in found} == {
        ("fnspid", "fnspid"), ("polygon", "lexicon"), ("tiingo", "lexicon")
    }  # fmt: skip
    assert first == pytest.approx(-0.2916666666666667)


def test_the_recorded_market_serves_its_news_of_a_time(recordings):
    recorded(recordings, "tiingo/python_client_vcr/news_0.json")
    market = Recorded(recordings)
    now = datetime(2016, 1, 12, tzinfo=UTC)
    days = datetime(2016, 1, 11, tzinfo=UTC).date(), now.date()
    assert next(row["source"] for row in market.tiingo_news(*days, ["AAPL"], now)) == "cnbc.com"
    assert market.tiingo_news(*days, ["AAPL"], datetime(2016, 1, 11, tzinfo=UTC)) == []
    assert market.polygon_news(datetime(2022, 4, 1, tzinfo=UTC), None, "NFLX", datetime(2022, 5, 1, tzinfo=UTC))
