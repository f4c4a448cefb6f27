"""Vendors' news answers and FNSPID's files -> one shape: what was published, and what the vendor thinks of it.

In: the untouched bytes of one answer. Out: `Parsed` frames without lineage; times are UTC, tickers in house spelling.
Sources: Polygon's REST reference (v2/reference/news), Marketaux' documentation (v1/news/all), Tiingo's news reference,
FNSPID's CSV files. A missing or unknown column is a ValueError naming vendor, endpoint and column; a story without
what a story needs (title, address, time) is left out and listed in `problems`.

A vendor's own sentiment is one model's opinion, -1 to 1, named for the vendor. Polygon says a word (positive 1,
neutral 0, negative -1); Marketaux a number, whose relevance is its match score against the story's best matched
company; FNSPID a mean of 1 to 5, which is (x - 3) / 2 here (`Scaled_sentiment` of its files has another zero).
"""

from __future__ import annotations

import gzip
import html
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import polars as pl

from closingbell.shapes import parser
from closingbell.universe.tickers import normal_ticker

SIGHTINGS: dict[str, Any] = {
    "vendor": pl.String,
    "vendor_id": pl.String,
    "url": pl.String,
    "title": pl.String,
    "summary": pl.String,
    "source": pl.String,
    "published_at": pl.Datetime("us", "UTC"),
    "seen_at": pl.Datetime("us", "UTC"),
    "tickers": pl.List(pl.String),
}
"""One row: one vendor's copy of a story. url: canonical. source: the publisher. seen_at: when the vendor says it found
the story, where it says so."""

OPINIONS: dict[str, Any] = {
    "vendor": pl.String,
    "vendor_id": pl.String,
    "ticker": pl.String,
    "model": pl.String,
    "model_version": pl.String,
    "score": pl.Float64,
    "relevance": pl.Float64,
    "reason": pl.String,
}
"""score: -1 to 1; relevance: 0 to 1, null where the vendor gives none."""

PROBLEMS: dict[str, Any] = {"problem": pl.String, "key": pl.String, "detail": pl.String}

TRACKING = re.compile(
    r"^(utm_.*|fbclid|gclid|gclsrc|dclid|msclkid|yclid|igshid|mc_[ce]id|cmpid|ncid|icid|guc.*|soc_(src|trk)|\.?tsrc|"
    r"yptr|ref|ref_src|ref_url|referrer|rss|partner|smid|mod|siteid|feedref|taid|_ga|ampmode)$",
    re.IGNORECASE,
)
LONGEST = {"title": 500, "summary": 5000, "reason": 2000}
WORDS = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}
LISTED = {"equity", "etf", "mutualfund"}
"""Marketaux' entity types that are securities; the symbol of an index or a currency may be another company's ticker."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One answer: `sightings` (SIGHTINGS), `opinions` (OPINIONS), `problems` (PROBLEMS), `received` stories in it.

    next_url: the vendor's own address of the next page, None on the last one and where the vendor counts pages.
    found: stories that the vendor has for the question, of all pages, where it says so.
    """

    sightings: pl.DataFrame
    opinions: pl.DataFrame
    problems: pl.DataFrame
    received: int
    next_url: str | None = None
    found: int = 0


class Refused(ValueError):
    """A story that lacks what a story needs; `problem` is the quarantine's name for it."""

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


@parser("polygon news")
def polygon_news(body: bytes) -> Parsed:
    """One page of Polygon `/v2/reference/news`."""
    where = "polygon news"
    answer = _object(body, where)
    _columns(
        where,
        answer,
        required=set(),
        known={"results", "status", "request_id", "next_url", "count", "message", "error"},
    )
    if "results" not in answer and answer.get("status") not in ("OK", "DELAYED"):
        said = answer.get("error") or answer.get("message")
        raise ValueError(f"{where}: column results is missing, status is {answer.get('status')!r}: {said}")
    pages = Collector("polygon", where)
    for row in answer.get("results") or []:
        _columns(
            where,
            row,
            required={"id", "publisher", "title", "published_utc", "article_url", "tickers"},
            known={"author", "amp_url", "image_url", "description", "keywords", "insights"},
        )
        insights = row.get("insights") or []
        pages.add(
            vendor_id=row["id"],
            url=row["article_url"],
            title=row["title"],
            summary=row.get("description"),
            source=(row["publisher"] or {}).get("name"),
            published_at=row["published_utc"],
            tickers=[*(row["tickers"] or []), *(insight.get("ticker") for insight in insights)],
            opinions=[_insight(where, insight) for insight in insights],
        )
    return pages.parsed(answer.get("next_url"))


@parser("marketaux news")
def marketaux_news(body: bytes) -> Parsed:
    """One page of Marketaux `/v1/news/all`; pages are counted by the request, fewer than the limit is the last."""
    where = "marketaux news"
    answer = _object(body, where)
    if error := answer.get("error"):
        raise ValueError(f"{where}: the vendor answers an error: {error.get('code')}: {error.get('message')}")
    _columns(where, answer, required={"meta", "data"}, known={"warnings"})
    pages = Collector("marketaux", where)
    for row in answer["data"]:
        _columns(
            where,
            row,
            required={"uuid", "title", "url", "published_at", "source", "entities"},
            known={"description", "keywords", "snippet", "image_url", "language", "relevance_score", "similar"},
        )
        entities = [entity for entity in row["entities"] or [] if entity.get("type", "equity") in LISTED]
        for entity in entities:
            _columns(
                where,
                entity,
                required={"symbol", "match_score", "sentiment_score"},
                known={"name", "exchange", "exchange_long", "country", "type", "industry", "highlights"},
            )
        best = max((entity["match_score"] or 0.0 for entity in entities), default=0.0)
        pages.add(
            vendor_id=row["uuid"],
            url=row["url"],
            title=row["title"],
            summary=row.get("description") or row.get("snippet"),
            source=row["source"],
            published_at=row["published_at"],
            tickers=[entity["symbol"] for entity in entities],
            opinions=[
                {
                    "ticker": entity["symbol"],
                    "score": entity["sentiment_score"],
                    "relevance": (entity["match_score"] or 0.0) / best if best > 0 else None,
                }
                for entity in entities
                if entity["sentiment_score"] is not None
            ],
        )
    return pages.parsed(found=int(answer["meta"]["found"]))


def whole_from(pages: Iterable[Parsed]) -> datetime | None:
    """Since when the pages of one question hold all of it: the newest come first, and a plan's pages may be too few.

    None where they leave nothing out.
    """
    told = [(page.received, page.found, page.sightings["published_at"].min()) for page in pages]
    received, found = sum(page[0] for page in told), max((page[1] for page in told), default=0)
    times = [cast(datetime, oldest) for *_, oldest in told if oldest]
    return min(times, default=None) if received < found else None


@parser("tiingo news")
def tiingo_news(body: bytes) -> Parsed:
    """One page of Tiingo `/tiingo/news`; pages are counted by the request (`offset`)."""
    where = "tiingo news"
    answer = _load(body, where)
    if not isinstance(answer, list):
        said = answer.get("detail") if isinstance(answer, dict) else answer
        raise ValueError(f"{where}: a list of stories was expected; the vendor says: {str(said)[:200]}")
    pages = Collector("tiingo", where)
    for row in answer:
        _columns(
            where,
            row,
            required={"id", "title", "url", "publishedDate", "source", "tickers"},
            known={"description", "crawlDate", "sourceDate", "tags"},
        )
        pages.add(
            vendor_id=str(row["id"]),
            url=row["url"],
            title=row["title"],
            summary=row.get("description"),
            source=row["source"],
            published_at=row["publishedDate"],
            seen_at=row.get("crawlDate"),
            tickers=row["tickers"] or [],
        )
    return pages.parsed()


FNSPID_SERIES = {"Date", "Sentiment_gpt", "News_flag"}
FNSPID_STORIES = {"Date", "Article_title", "Stock_symbol", "Url"}
FNSPID_IGNORED = {
    "", "Unnamed: 0", "Open", "High", "Low", "Close", "Adj close", "Volume", "Scaled_sentiment", "Author", "Article",
    "Luhn_summary", "Textrank_summary", "Lexrank_summary", "Sentiment_gpt", "News_flag", "Publisher", "Lsa_summary",
}  # fmt: skip


@parser("fnspid csv")
def fnspid_csv(body: bytes, *, ticker: str | None = None) -> Parsed:
    """A CSV file of FNSPID, gzipped or not: its stories, or its price and sentiment series of one `ticker`.

    A day of a series with news (News_flag 1; the others are carried forward) is one row known at the end of its UTC
    day, since its mean holds all of the day's news. Its address is `fnspid:TICKER:DAY`.
    """
    where = f"fnspid csv {ticker or ''}".strip()
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    try:
        rows = pl.read_csv(io.BytesIO(body), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{where}: the file is no CSV: {error}") from error
    if set(rows.columns) >= FNSPID_STORIES:
        return _fnspid_stories(rows, where)
    _columns(where, rows.columns, required=FNSPID_SERIES, known=FNSPID_IGNORED)
    if ticker is None:
        raise ValueError(f"{where}: a series does not name its ticker; give it (the file is called after it)")
    pages = Collector("fnspid", where)
    for row in rows.filter(pl.col("News_flag").cast(pl.Float64, strict=False) == 1).iter_rows(named=True):
        day = row["Date"][:10]
        pages.add(
            vendor_id=f"{ticker}:{day}",
            url=f"fnspid:{ticker}:{day}",
            title=f"News about {ticker} of {day}",
            source="FNSPID",
            published_at=_end_of_day(row["Date"]),
            tickers=[ticker],
            opinions=_fnspid_opinions(ticker, row["Sentiment_gpt"]),
        )
    return pages.parsed()


def _fnspid_stories(rows: pl.DataFrame, where: str) -> Parsed:
    _columns(where, rows.columns, required=FNSPID_STORIES, known=FNSPID_IGNORED)
    pages = Collector("fnspid", where)
    for row in rows.iter_rows(named=True):
        symbol = row["Stock_symbol"]
        moment = _text(row["Date"], 40).removesuffix(" UTC")
        pages.add(
            vendor_id=f"{symbol}:{row['Url']}",
            url=row["Url"],
            title=row["Article_title"],
            summary=row.get("Lsa_summary"),
            source=row.get("Publisher") or "FNSPID",
            # a story dated by its day alone counts from the end of that day
            published_at=_end_of_day(moment) if moment.endswith("00:00:00") or len(moment) == 10 else moment,
            tickers=[symbol] if symbol else [],
            opinions=_fnspid_opinions(symbol, row.get("Sentiment_gpt")),
        )
    return pages.parsed()


def _fnspid_opinions(ticker: str | None, rated: str | None) -> list[dict[str, Any]]:
    if not ticker or rated in (None, ""):
        return []
    try:
        return [{"ticker": ticker, "score": (float(rated) - 3) / 2, "relevance": None}]
    except ValueError:
        return [{"ticker": ticker, "score": math.nan, "relevance": None}]


def _end_of_day(stamp: str) -> str:
    try:
        return (datetime.fromisoformat(stamp[:10]) + timedelta(days=1)).replace(tzinfo=UTC).isoformat()
    except ValueError:
        return stamp


def _insight(where: str, insight: dict[str, Any]) -> dict[str, Any]:
    _columns(where, insight, required={"ticker", "sentiment"}, known={"sentiment_reasoning"})
    word = insight["sentiment"]
    # the vendor has sent "mixed" and the like: no number for a word that is not of its own three
    score = WORDS.get(word, math.nan) if word else math.nan
    return {
        "ticker": insight["ticker"],
        "score": score,
        "relevance": None,
        "reason": insight.get("sentiment_reasoning"),
    }


def canonical_url(url: str) -> str:
    """One address of a page: https, host in lower case, no fragment, no tracking parameters, the others sorted.

    Raises Refused where it is no address of the web (FNSPID's own `fnspid:` passes).
    """
    url = url.strip()
    if url.startswith("fnspid:"):
        return url
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise Refused("bad_url", f"column url: {url[:200]!r}: {error}") from None
    if parts.scheme.lower() not in ("http", "https") or "." not in host:
        raise Refused("bad_url", f"column url: {url[:200]!r} is no address of the web")
    if port not in (None, 80, 443):
        host = f"{host}:{port}"
    query = sorted(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not TRACKING.match(pair[0]))
    return urlunsplit(("https", host, parts.path.rstrip("/") or "/", urlencode(query), ""))


class Collector:
    """Gathers the stories of one answer; a story that cannot be goes to `problems` with its key."""

    def __init__(self, vendor: str, where: str) -> None:
        self.vendor, self.where, self.received = vendor, where, 0
        self.sightings: list[dict[str, Any]] = []
        self.opinions: list[dict[str, Any]] = []
        self.problems: list[dict[str, str]] = []

    def add(
        self,
        *,
        vendor_id: str,
        url: str | None,
        title: str | None,
        published_at: str | datetime | None,
        source: str | None,
        summary: str | None = None,
        seen_at: str | None = None,
        tickers: Iterable[str | None] = (),
        opinions: Iterable[dict[str, Any]] = (),
    ) -> None:
        self.received += 1
        try:
            story = {
                "vendor": self.vendor,
                "vendor_id": vendor_id,
                "url": canonical_url(url or ""),
                "title": _text(title, LONGEST["title"]),
                "summary": _text(summary, LONGEST["summary"]) or None,
                "source": _text(source, 200) or None,
                "published_at": _moment(published_at, "published_at"),
                "seen_at": _moment(seen_at, "seen_at") if seen_at else None,
                "tickers": sorted({normal_ticker(ticker) for ticker in tickers if ticker and ticker.strip()}),
            }
            if not story["title"]:
                raise Refused("no_title", "column title is empty")
        except Refused as refused:
            self.refuse(refused.problem, vendor_id, str(refused))
            return
        self.sightings.append(story)
        for opinion in opinions:
            score, relevance = opinion["score"], opinion.get("relevance")
            if not isinstance(score, int | float) or not -1.0 <= score <= 1.0:
                self.refuse("score_out_of_range", f"{vendor_id} {opinion['ticker']}", f"sentiment {score!r}")
                continue
            self.opinions.append(
                {
                    "vendor": self.vendor,
                    "vendor_id": vendor_id,
                    "ticker": normal_ticker(opinion["ticker"]),
                    "model": self.vendor,
                    "model_version": "1",
                    "score": float(score),
                    "relevance": None if relevance is None else min(max(float(relevance), 0.0), 1.0),
                    "reason": _text(opinion.get("reason"), LONGEST["reason"]) or None,
                }
            )

    def refuse(self, problem: str, key: str, detail: str) -> None:
        self.problems.append({"problem": problem, "key": str(key)[:300], "detail": f"{self.where}: {detail}"})

    def parsed(self, next_url: str | None = None, found: int = 0) -> Parsed:
        """The frames, a story that the vendor sent twice in one answer once."""
        key = ["vendor", "vendor_id"]
        return Parsed(
            pl.DataFrame(self.sightings, schema=SIGHTINGS).unique(key, keep="last", maintain_order=True),
            pl.DataFrame(self.opinions, schema=OPINIONS).unique([*key, "ticker"], keep="last", maintain_order=True),
            pl.DataFrame(self.problems, schema=PROBLEMS),
            self.received,
            next_url,
            found,
        )


def _text(value: str | None, longest: int) -> str:
    """Entities resolved, control characters out, one space between words, cut at `longest`."""
    plain = html.unescape((value or "")[: longest * 4])
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", " ", plain).split())[:longest].rstrip()


def _moment(value: str | datetime | None, column: str) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat((value or "").strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)  # every vendor's reference says UTC
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refused("no_such_time", f"column {column}: {str(value)[:60]!r}: {error}") from None


def _load(body: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"{where}: the body is not JSON ({error}); it was cut or is an error page: fetch it again"
        ) from error


def _object(body: bytes, where: str) -> dict[str, Any]:
    answer = _load(body, where)
    if not isinstance(answer, dict):
        raise ValueError(f"{where}: a JSON object was expected, not a {type(answer).__name__}")
    return answer


def _columns(where: str, present: Iterable[str], *, required: set[str], known: set[str]) -> None:
    present = set(present)
    if missing := required - present:
        raise ValueError(f"{where}: column {', '.join(sorted(missing))} is missing; it has {sorted(present)}")
    if unknown := present - required - known:
        raise ValueError(f"{where}: column {', '.join(sorted(unknown))} is unknown; say in the parser what it means")
