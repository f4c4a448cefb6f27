"""What the API answers with. Factors and metrics are those that scores/factors.py declares, by their names there."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from closingbell.scores.factors import FACTORS
from closingbell.universe.sectors import gics_sector, sectors
from closingbell.universe.tickers import normal_ticker

Confidence = Literal["High", "Medium", "Low"]
MOST_OFFSET = 100_000  # beyond every board; a larger one is a mistake
SORTS = ("overall_score", "sector_percentile", "data_completeness", *(factor.name for factor in FACTORS))


def known_sector(name: str) -> str:
    """The GICS sector's own name; raises ValueError for what is none."""
    if (sector := gics_sector(name)) is None:
        raise ValueError(f"no GICS sector; there are {', '.join(sectors())}")
    return sector


def known_sort(name: str) -> str:
    """The column to sort by; raises ValueError for another."""
    if name not in SORTS:
        raise ValueError(f"sort by one of {', '.join(SORTS)}")
    return name


def known_factor(name: str) -> str:
    """The factor's name; raises ValueError for one that is not declared."""
    if name not in (names := [factor.name for factor in FACTORS]):
        raise ValueError(f"no factor; there are {', '.join(names)}")
    return name


def written_day(day: Any) -> Any:
    """As it is; raises ValueError for text that is no YYYY-MM-DD: pydantic takes a number for seconds since 1970."""
    if isinstance(day, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", day, re.ASCII):
        raise ValueError("a day is written YYYY-MM-DD")
    return day


Ticker = Annotated[
    str,
    Path(
        description="As an exchange or SEC writes it; one that a company gave up leads to what it became",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9. \-]{0,15}$",
        examples=["AAPL"],
    ),
    AfterValidator(normal_ticker),
]
Day = Annotated[date, BeforeValidator(written_day)]
Session = Annotated[
    Day | None, Query(description="New York trading day; the newest by default", examples=["2025-12-05"])
]
Sector = Annotated[str, AfterValidator(known_sector), Field(json_schema_extra={"enum": list(sectors())})]
SectorQuery = Annotated[Sector | None, Query(description="GICS sector as known then")]
FactorQuery = Annotated[
    Annotated[str, AfterValidator(known_factor), Field(json_schema_extra={"enum": [one.name for one in FACTORS]})]
    | None,
    Query(description="only this factor"),
]
Offset = Annotated[int, Query(ge=0, le=MOST_OFFSET, description="rows to pass over")]


def _example(answer: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [answer]})


# -- scores -----------------------------------------------------------------------------------------------------------

_EXAMPLE_FACTORS: dict[str, Any] = {
    factor.name: {
        "score": round(90.5 - 4 * at, 1),
        "weight": factor.weight,
        "evidence": f"/api/scores/AAPL/evidence?session=2025-12-05&factor={factor.name}",
    }
    for at, factor in enumerate(FACTORS)
}
_EXAMPLE_SCORE: dict[str, Any] = {
    "ticker": "AAPL", "security_id": 320193001, "company_name": "Apple Inc.", "session": "2025-12-05",
    "overall_score": 74.31, "rating": "Buy", "factors": _EXAMPLE_FACTORS, "sector": "Information Technology",
    "sector_assumed": False, "sector_rank": 12, "sector_size": 540, "sector_percentile": 97.9, "confidence": "High",
    "data_completeness": 1.0, "known_at": "2025-12-05T21:00:00Z",
}  # fmt: skip
_LINKS = {
    "evidence": "/api/scores/AAPL/evidence?session=2025-12-05",
    "changes": "/api/scores/AAPL/changes?session=2025-12-05",
    "history": "/api/scores/AAPL/history?session=2025-12-05",
}


class FactorScore(BaseModel):
    """One factor: the mean percentile of its metrics among peers, 100 best; null where it has no data."""

    score: float | None
    weight: int = Field(description="share of the overall score, in percent")
    evidence: str | None = Field(description="where its metrics and their sources are; null without a ticker")


class ScoreRow(BaseModel):
    """A score as known at the close of its session."""

    ticker: str | None = Field(description="of that session")
    security_id: int
    company_name: str | None
    session: date
    overall_score: float = Field(description="1 to 100")
    rating: str
    factors: dict[str, FactorScore]
    sector: str | None = Field(description="as known on the session")
    sector_assumed: bool = Field(description="the earliest known sector stands for one before it")
    sector_rank: int | None
    sector_size: int | None
    sector_percentile: float | None
    confidence: Confidence
    data_completeness: float = Field(description="weight of the factors that have data, 0 to 1")
    known_at: datetime = Field(description="the session's close: nothing later entered")


class Score(ScoreRow):
    """A score, and where what it stands on is."""

    model_config = _example(_EXAMPLE_SCORE | {"newest_session": "2025-12-05", "links": _LINKS})
    newest_session: date = Field(description="the newest board's; later than `session` where this is scored no more")
    links: dict[str, str]


class Board(BaseModel):
    """A page of a session's board."""

    model_config = _example(
        {"session": "2025-12-05", "total": 4600, "limit": 1, "offset": 0, "results": [_EXAMPLE_SCORE]}
        | {"next": "/api/scores/top?limit=1&offset=1"}
    )
    session: date
    total: int = Field(description="securities that meet the conditions")
    limit: int
    offset: int
    next: str | None = Field(description="the next page; null on the last")
    results: list[ScoreRow]


class Point(BaseModel):
    """A score of the past, as known then."""

    session: date
    overall_score: float
    rating: str
    factors: dict[str, float | None]
    sector_percentile: float | None
    data_completeness: float


class History(BaseModel):
    """Scores of one security, in order."""

    model_config = _example(
        {
            "ticker": "AAPL",
            "security_id": 320193001,
            "days": 90,
            "scores": [
                {"session": "2025-12-05", "overall_score": 74.31, "rating": "Buy", "sector_percentile": 97.9}
                | {"factors": {name: one["score"] for name, one in _EXAMPLE_FACTORS.items()}}
                | {"data_completeness": 1.0}
            ],
        }
    )
    ticker: str | None
    security_id: int
    days: int
    scores: list[Point]


class Filing(BaseModel):
    """A document at SEC."""

    accession_no: str
    url: str | None = Field(description="of the company's own filings")


class Told(BaseModel):
    """A rating of an analyst, or an article."""

    kind: Literal["rating", "article"]
    key: str = Field(description="vendor:rating_id, or article_id")
    title: str | None
    url: str | None
    known_at: datetime


class MetricEvidence(BaseModel):
    """One metric of a factor, and what it was read from; without data its value is null and it leaves the mean."""

    name: str
    explanation: str
    higher_is_better: bool
    value: float | None
    percentile: float | None = Field(description="among the peers, 100 best")
    peer_group: str | None = Field(description="the sector, or market where the sector has too few")
    peers: int | None
    source: list[Any] | None = Field(description="table and key of the row it was read from")
    known_at: datetime | None = Field(description="when the last of its filings was known, else the session's close")
    filings: list[Filing] = Field(description="the first 50")
    filings_total: int
    told: list[Told] = Field(description="ratings and articles, the newest 50")
    answers_sha256: list[str] = Field(description="hashes of the vendors' raw answers, as they were landed")


class FactorEvidence(BaseModel):
    """A factor and its metrics."""

    name: str
    explanation: str
    weight: int
    score: float | None
    metrics: list[MetricEvidence]


class Evidence(BaseModel):
    """What a score stands on."""

    model_config = _example(
        {
            "ticker": "AAPL",
            "security_id": 320193001,
            "session": "2025-12-05",
            "overall_score": 74.31,
            "factors": [
                {
                    "name": FACTORS[0].name,
                    "explanation": FACTORS[0].sentence,
                    "weight": FACTORS[0].weight,
                    "score": 90.5,
                    "metrics": [
                        {
                            "name": FACTORS[0].metrics[0].name,
                            "explanation": f"{FACTORS[0].metrics[0].sentence} {FACTORS[0].metrics[0].stale_after}",
                            "higher_is_better": True,
                            "value": 0.0269,
                            "percentile": 93.4,
                            "peer_group": "Information Technology",
                            "peers": 512,
                            "source": ["valuation_ratios", 320193001, "2025-12-05"],
                            "known_at": "2025-10-31T10:01:26Z",
                            "filings": [
                                {
                                    "accession_no": "0000320193-25-000079",
                                    "url": "https://www.sec.gov/Archives/edgar/data/320193/000032019325000079/",
                                }
                            ],
                            "filings_total": 1,
                            "told": [],
                            "answers_sha256": ["9f86d081884c7d659a2feaa0c55ad015"],
                        }
                    ],
                }
            ],
        }
    )
    ticker: str | None
    security_id: int
    session: date
    overall_score: float
    factors: list[FactorEvidence]


class Conditions(BaseModel):
    """What the screener looks for; `Screen` has a least and a most of every factor besides."""

    model_config = ConfigDict(extra="forbid")
    session: Day | None = Field(None, description="New York trading day; the newest by default")
    sector: Sector | None = Field(None, description="GICS sector as known then")
    confidence: Confidence | None = None
    min_score: float | None = Field(None, ge=0, le=100)
    max_score: float | None = Field(None, ge=0, le=100)
    sort: Annotated[str, AfterValidator(known_sort), Field(json_schema_extra={"enum": list(SORTS)})] = "overall_score"
    order: Literal["best", "worst"] = Field("best", description="which come first; those without the number come last")
    limit: int = Field(100, ge=1, le=500)
    offset: int = Field(0, ge=0, le=MOST_OFFSET)

    def bounds(self) -> dict[str, list[float]]:
        """{column: [least, most]} of what is bounded."""
        columns = {"score": "overall_score"} | {factor.name: factor.name for factor in FACTORS}
        given = {
            column: (getattr(self, f"min_{name}", None), getattr(self, f"max_{name}", None))
            for name, column in columns.items()
        }
        return {
            column: [0.0 if least is None else least, 100.0 if most is None else most]
            for column, (least, most) in given.items()
            if (least, most) != (None, None)
        }


Screen: type[Conditions] = create_model(
    "Screen",
    __base__=Conditions,
    **{  # type: ignore[call-overload]
        f"{bound}_{factor.name}": (
            float | None,
            Field(None, ge=0, le=100, description=f"{word} of {factor.name}: {factor.sentence}"),
        )
        for factor in FACTORS
        for bound, word in (("min", "least"), ("max", "most"))
    },
)


class NewEvidence(BaseModel):
    """A filing, a rating or an article."""

    kind: Literal["filing", "rating", "article"]
    key: str
    known_at: datetime | None


class Part(BaseModel):
    """What one metric added to a score, or took; without a metric: what the lowest score, 1, did."""

    factor: str | None
    metric: str | None
    part: float = Field(description="points of the score")
    raw_before: float | None
    raw_after: float | None
    percentile_before: float | None
    percentile_after: float | None
    weight_before: float | None = Field(description="percent of the score that the metric decided; null without data")
    weight_after: float | None
    peer_group_before: str | None = Field(description="among whom it was ranked; its percentile moves with them")
    peer_group_after: str | None
    peers_before: int | None
    peers_after: int | None
    new_evidence: list[NewEvidence] = Field(description="what it stands on and did not before, the newest three")
    new_evidence_total: int


class Changes(BaseModel):
    """Why a score is another than the session before: parts that add up to the change, the largest first."""

    model_config = _example(
        {"ticker": "AAPL", "security_id": 320193001, "session": "2025-12-05", "before": "2025-12-04"}
        | {"score_before": 73.9, "score_after": 74.31, "change": 0.41}
        | {
            "parts": [
                {
                    "factor": FACTORS[0].name,
                    "metric": FACTORS[0].metrics[0].name,
                    "part": 0.41,
                    "raw_before": 0.0265,
                    "raw_after": 0.0269,
                    "percentile_before": 50.0,
                    "percentile_after": 60.25,
                    "weight_before": 4.0,
                    "weight_after": 4.0,
                    "peer_group_before": "Energy",
                    "peer_group_after": "Energy",
                    "peers_before": 30,
                    "peers_after": 30,
                    "new_evidence": [
                        {"kind": "filing", "key": "0000320193-25-000079", "known_at": "2025-10-31T10:01:26Z"}
                    ],
                    "new_evidence_total": 1,
                }
            ]
        }
    )
    ticker: str | None
    security_id: int
    session: date
    before: date
    score_before: float
    score_after: float
    change: float
    parts: list[Part]


# -- stocks -----------------------------------------------------------------------------------------------------------

_EXAMPLE_STOCK: dict[str, Any] = {
    "id": 320193001, "symbol": "AAPL", "company_name": "Apple Inc.", "sector": "Information Technology",
    "fortune_500_rank": 4, "last_session": None,
}  # fmt: skip
_EXAMPLE_QUOTE: dict[str, Any] = {
    "symbol": "AAPL", "session": "2025-12-05", "open": 280.54, "high": 281.14, "low": 278.05, "close": 278.78,
    "volume": 47265845.0, "vwap": 279.1, "trades": 612345, "previous_session": "2025-12-04",
    "previous_close": 280.7, "change": -1.92, "change_percent": -0.684, "market_cap": 4.12e12, "pe_ratio": 37.4,
    "pb_ratio": 55.8, "ps_ratio": 9.9, "source": "polygon", "adjusted_as_of": None, "final": True,
    "fetched_at": "2025-12-06T12:00:09Z",
}  # fmt: skip
_EXAMPLE_MOOD: dict[str, Any] = {
    "symbol": "AAPL", "session": "2025-12-05", "sentiment_7d": 0.21, "sentiment_30d": 0.17, "articles_7d": 41,
    "articles_30d": 188, "last_published_at": "2025-12-05T20:41:00Z", "known_at": "2025-12-05T21:00:00Z",
    "by_source": {"polygon": {"weight": 1.0, "sentiment_7d": 0.21, "articles_7d": 41}},
    "articles": [
        {
            "title": "Apple's design chief leaves", "url": "https://example.com/apple-design", "source": "Example Wire",
            "vendors": ["polygon"], "published_at": "2025-12-05T20:41:00Z", "scores": {"polygon": 0.0},
        }
    ],
}  # fmt: skip


AdjustedAsOf = Annotated[
    date | None,
    Field(description="null: as traded; else its vendor adjusted it for splits, and perhaps dividends, up to that day"),
]


class Stock(BaseModel):
    """A common share."""

    id: int = Field(description="security_id, which outlives tickers")
    symbol: str
    company_name: str | None
    sector: str | None
    fortune_500_rank: int | None = Field(description="of the company")
    last_session: date | None = Field(None, description="the last day it traded; null while it is listed")


class Stocks(BaseModel):
    """A page of the listed common shares, by symbol."""

    model_config = _example(
        {"total": 4600, "limit": 1, "offset": 0, "results": [_EXAMPLE_STOCK]}
        | {"next": "/api/v1/stocks?limit=1&offset=1"}
    )
    total: int
    limit: int
    offset: int
    next: str | None
    results: list[Stock]


class Found(BaseModel):
    """Stocks that a search means, best first."""

    model_config = _example({"results": [_EXAMPLE_STOCK]})
    results: list[Stock]


class Quote(BaseModel):
    """A session's bar, in USD, with the close before it on the same split basis, and what a share costs."""

    model_config = _example(_EXAMPLE_QUOTE)
    symbol: str | None
    session: date
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None
    trades: int | None
    previous_session: date | None
    previous_close: float | None
    change: float | None
    change_percent: float | None
    market_cap: float | None = Field(description="of all share classes")
    pe_ratio: float | None
    pb_ratio: float | None
    ps_ratio: float | None
    source: str = Field(description="the vendor")
    adjusted_as_of: AdjustedAsOf = None
    final: bool = Field(description="false while the vendor may still correct it")
    fetched_at: datetime


class Bar(BaseModel):
    """A session's bar, in USD."""

    session: date
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None
    trades: int | None
    source: str
    adjusted_as_of: AdjustedAsOf = None
    final: bool


class Bars(BaseModel):
    """A page of a security's bars, in order."""

    model_config = _example(
        {
            "symbol": "AAPL",
            "total": 250,
            "limit": 1,
            "offset": 0,
            "next": "/api/v1/market-data/AAPL/history?limit=1&offset=1",
            "results": [{name: _EXAMPLE_QUOTE[name] for name in Bar.model_fields}],
        }
    )
    symbol: str | None
    total: int
    limit: int
    offset: int
    next: str | None
    results: list[Bar]


class Article(BaseModel):
    """A story that the sentiment was read from."""

    title: str
    url: str
    source: str | None = Field(description="the publisher")
    vendors: list[str]
    published_at: datetime
    scores: dict[str, float] = Field(description="-1 to 1, by who scored it")


class Sentiment(BaseModel):
    """How the news reads, -1 to 1, as known at the session's close, with whose opinion that is."""

    model_config = _example(_EXAMPLE_MOOD)
    symbol: str | None
    session: date
    sentiment_7d: float | None
    sentiment_30d: float | None
    articles_7d: int
    articles_30d: int
    last_published_at: datetime
    known_at: datetime
    by_source: dict[str, Any] = Field(description="by source: weight, means, counts, and its share of the whole")
    articles: list[Article] = Field(description="the newest of the 30 days")


class StockNow(Stock):
    """A common share with its newest market data and sentiment; null where there is none."""

    model_config = _example(_EXAMPLE_STOCK | {"market_data": _EXAMPLE_QUOTE, "sentiment": _EXAMPLE_MOOD})
    market_data: Quote | None
    sentiment: Sentiment | None


# -- health -----------------------------------------------------------------------------------------------------------


class Freshness(BaseModel):
    """When a table was published last."""

    table: str
    seconds_ago: float | None = Field(description="null: never")


class Health(BaseModel):
    """Whether the warehouse answers, and how fresh its tables are."""

    model_config = _example(
        {
            "status": "ok",
            "database": "ok",
            "newest_session": "2025-12-05",
            "tables": [{"table": "ic_scores", "seconds_ago": 5400.0}],
        }
    )
    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unavailable"]
    newest_session: date | None
    tables: list[Freshness]
