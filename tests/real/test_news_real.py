"""What vendors really sent: news bodies, FNSPID's series, Gemini's envelopes."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from closingbell.news.analyst import AnswerError, answer_text, judge
from closingbell.news.parse import fnspid_csv, polygon_news, tiingo_news

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
