"""Sightings of stories -> articles; scores of articles -> each security's mood as a moment knew it. Pure frames.

One story comes from several vendors (a wire, its syndications, two feeds of one): it is one article with several
sources. Sightings are taken in the order in which they were first landed; each joins the article that has its address,
else the earliest one with nearly its title within 48 hours, else it begins one. An article's id is made from the
sighting that began it, so that it stays whatever joins later, and a replay in the same order gives the same ids.

Titles are compared as sets of words (Jaccard). Two sets that are alike by THRESHOLD share a word among the rarest few
of each (prefix filtering: Chaudhuri, Ganti, Kaushik 2006), so that only stories of neighbouring days which share a
rare word are ever compared: exact, and linear in practice. A copy adds words or drops them: titles that have other
words in the place of some ("clears", "blocks"), or differ by a negation or by a word that is good or bad ("denies"),
tell two stories, however alike they are.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from closingbell.news import lexicon

ARTICLES: dict[str, Any] = {
    "article_id": pl.Int64,
    "title": pl.String,
    "summary": pl.String,
    "source": pl.String,
    "url": pl.String,
    "published_at": pl.Datetime("us", "UTC"),
    "told_at": pl.Datetime("us", "UTC"),
    "sources": pl.List(pl.String),
    "vendors": pl.List(pl.String),
    "tickers": pl.List(pl.String),
}
"""title, source, url: of the sighting that began it; summary: the first there is; published_at: the earliest; told_at:
when title and summary were published, which is later where another sighting had the story before. sources: every
publisher, vendors: every vendor that brought it."""

MEMBERS: dict[str, Any] = {"article_id": pl.Int64, "vendor": pl.String, "vendor_id": pl.String}

SENTIMENT: dict[str, Any] = {
    "security_id": pl.Int64,
    "day": pl.Date,
    "sentiment_7d": pl.Float64,
    "sentiment_30d": pl.Float64,
    "articles_7d": pl.Int64,
    "articles_30d": pl.Int64,
    "last_published_at": pl.Datetime("us", "UTC"),
    "hours_since": pl.Float64,
    "by_source": pl.String,
}
"""sentiment_*: -1 to 1. by_source: JSON {source: {weight, sentiment_7d, sentiment_30d, articles_7d, articles_30d,
share_7d, share_30d}}; the shares of a window add up to the sentiment of that window."""

THRESHOLD = 0.7
WINDOW = timedelta(hours=48)
FEWEST_WORDS = 4
"""A shorter title ("Market update") says too little to be a story's name."""
COMMON = frozenset(
    """a an and are as at be by for from has have in is it its of on or says said that the to was were will with after
    amid into over than this new inc corp co ltd plc llc company stock stocks shares""".split()  # noqa: SIM905 - a list of words reads as one
)
ENDING = re.compile(r"\s+(?:[-–—|]\s*[^-–—|]{2,40}|by\s+\S+\.(?:com|net|co\.uk))$", re.IGNORECASE)
"""A publisher's name after the headline: "... - Reuters", "... By Investing.com"."""

STEM = 4
NEGATIONS = frozenset(("against", "no", "not", "never", "without"))


def unify(sightings: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Articles (ARTICLES) and who brought them (MEMBERS), both in order of article_id.

    sightings: parse.SIGHTINGS with first_seen_at (when it was first landed, UTC) and article_id (null: not yet one of
    an article). Give with the new sightings those published within 48 hours of one and those with the address of one,
    and with these every other sighting of the same articles: an article is made of the rows given here.
    """
    order = ["first_seen_at", "vendor", "vendor_id"]
    rows = sightings.sort(pl.col("article_id").is_null(), *order)
    named = [title_words(title) for title in rows["title"]]
    index = _Index(Counter(word for words in named for word in words))
    ids = [index.place(row, words) for row, words in zip(rows.iter_rows(named=True), named, strict=True)]
    placed = rows.with_columns(pl.Series("article_id", ids, pl.Int64)).sort(order)
    articles = placed.group_by("article_id").agg(
        pl.col("title", "source", "url").first(),
        pl.col("summary").drop_nulls().first(),
        pl.col("published_at").min(),
        pl.max_horizontal(
            pl.col("published_at").first(), pl.col("published_at").filter(pl.col("summary").is_not_null()).first()
        ).alias("told_at"),
        pl.col("source").drop_nulls().unique().sort().alias("sources"),
        pl.col("vendor").unique().sort().alias("vendors"),
        pl.col("tickers").explode().drop_nulls().unique().sort(),
    )
    return (
        articles.select(pl.col(name).cast(dtype) for name, dtype in ARTICLES.items()).sort("article_id"),
        placed.select(list(MEMBERS)).sort("article_id", "vendor", "vendor_id"),
    )


def article_id(vendor: str, vendor_id: str) -> int:
    """The id of the article that this sighting begins: 63 bits, the same everywhere."""
    digest = hashlib.blake2b(f"{vendor}\0{vendor_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def title_words(title: str) -> frozenset[str]:
    """The words that name a story: without the publisher's name, the commonest words, punctuation and case."""
    plain = ENDING.sub("", title).lower().replace("’", "'")
    words = re.findall(r"\d[\d.,]*\d|\w+(?:'\w+)?", plain)
    return frozenset(word.removesuffix("'s").replace(",", "") for word in words) - COMMON


def sentiment(
    scores: pl.DataFrame, *, known_at: datetime, day: date, model: str, weights: Mapping[str, float] | None = None
) -> pl.DataFrame:
    """Each security's mood on `day` as known at `known_at` (UTC): SENTIMENT, by security_id.

    scores: article_id, security_id, source (who scored: a vendor or a model), score (-1 to 1), relevance (0 to 1; null
    counts as 1), published_at, scored_at (null of a vendor's). Of the scores that our models gave an article one
    counts: that of `model`, else the newest. A source's mean is weighted by relevance; the unified one is the sources'
    means by `weights` (1 where it names none), over the sources that have articles in that window. The rows' order does
    not matter to the last bit, so that computing again changes nothing.
    """
    given = dict(weights or {})
    if any(not math.isfinite(weight) or weight < 0 for weight in given.values()):
        raise ValueError(f"news sentiment: weights {given} must be finite and not negative")
    known = scores.filter(
        pl.col("security_id").is_not_null()
        & (pl.col("published_at") <= known_at)
        & (pl.col("published_at") > known_at - timedelta(days=30))
    )
    known = _one_of_ours(known, model).with_columns(
        pl.col("relevance").fill_null(1.0),
        recent=pl.col("published_at") > known_at - timedelta(days=7),
    ).sort("security_id", "source", "published_at", "article_id")  # fmt: skip
    sources = known.group_by("security_id", "source", maintain_order=True).agg(
        *(
            expression
            for days, rows in ((7, pl.col("recent")), (30, pl.lit(True)))
            for expression in (
                _mean(rows).alias(f"sentiment_{days}d"),
                pl.col("article_id").filter(rows).n_unique().cast(pl.Int64).alias(f"articles_{days}d"),
            )
        )
    )
    weight = pl.col("source").replace_strict(given, default=1.0, return_dtype=pl.Float64) if given else pl.lit(1.0)
    weighted = sources.with_columns(weight=weight).with_columns(
        (
            pl.col(f"sentiment_{days}d")
            * pl.col("weight")
            / _positive(pl.col("weight").filter(pl.col(f"sentiment_{days}d").is_not_null()).sum().over("security_id"))
        ).alias(f"share_{days}d")
        for days in (7, 30)
    )
    details = pl.struct(
        "weight", "sentiment_7d", "sentiment_30d", "articles_7d", "articles_30d", "share_7d", "share_30d"
    )
    named = pl.concat_str(pl.struct("source").struct.json_encode().str.slice(10).str.strip_suffix("}"), pl.lit(":"))
    unified = (
        weighted.sort("security_id", "source")
        .with_columns(entry=pl.concat_str(named, details.struct.json_encode()))
        .group_by("security_id", maintain_order=True)
        .agg(
            *(
                pl.when(pl.col(f"share_{days}d").count() > 0)
                .then(pl.col(f"share_{days}d").sum())
                .alias(f"sentiment_{days}d")
                for days in (7, 30)
            ),
            by_source=pl.concat_str(pl.lit("{"), pl.col("entry").str.join(","), pl.lit("}")),
        )
    )
    counted = known.group_by("security_id").agg(
        pl.col("article_id").filter("recent").n_unique().alias("articles_7d"),
        pl.col("article_id").n_unique().alias("articles_30d"),
        pl.col("published_at").max().alias("last_published_at"),
    )
    return (
        unified.join(counted, on="security_id")
        .with_columns(
            day=pl.lit(day),
            hours_since=(pl.lit(known_at) - pl.col("last_published_at")).dt.total_seconds() / 3600,
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SENTIMENT.items())
        .sort("security_id")
    )


def _one_of_ours(scores: pl.DataFrame, model: str) -> pl.DataFrame:
    """The vendors' scores, and of ours one an article and security."""
    ours = pl.col("scored_at").is_not_null()
    turn = [pl.col("source") != model, pl.col("scored_at"), pl.col("source")]
    best = (
        scores.filter(ours)
        .sort(turn, descending=[False, True, False])
        .unique(["article_id", "security_id"], keep="first")
    )
    return pl.concat([scores.filter(~ours), best])


def _mean(rows: pl.Expr) -> pl.Expr:
    """The scores' mean by relevance; null where there is none, or none of any relevance."""
    total = pl.col("relevance").filter(rows).sum()
    return (pl.col("score") * pl.col("relevance")).filter(rows).sum() / _positive(total)


def _positive(total: pl.Expr) -> pl.Expr:
    return pl.when(total > 0).then(total)


@dataclass(slots=True)
class _Article:
    """What a sighting is compared with: the titles and publishers that an article already has."""

    article_id: int
    began: datetime
    titles: list[frozenset[str]] = field(default_factory=list)
    brought_by: set[tuple[str, str | None]] = field(default_factory=set)
    tickers: set[str] = field(default_factory=set)


class _Index:
    """The articles so far: by address, and by (day, numbers, rare word) of their titles."""

    def __init__(self, frequency: Mapping[str, int]) -> None:
        self.frequency = frequency
        self.by_url: dict[str, _Article] = {}
        self.by_id: dict[int, _Article] = {}
        self.by_word: dict[tuple[date, frozenset[str], str], list[_Article]] = defaultdict(list)

    def place(self, row: dict[str, Any], words: frozenset[str]) -> int:
        url = row["url"] if urlsplit(row["url"]).path not in ("", "/") else None  # a publisher's front page is no story
        if row["article_id"] is not None:
            article = self.by_id.get(row["article_id"]) or _Article(row["article_id"], row["published_at"])
        else:
            article = (
                (self.by_url.get(url) if url else None)
                or self._alike(row, words)
                or _Article(article_id(row["vendor"], row["vendor_id"]), row["published_at"])
            )
        self._add(article, row, words, url)
        return article.article_id

    def _add(self, article: _Article, row: dict[str, Any], words: frozenset[str], url: str | None) -> None:
        self.by_id[article.article_id] = article
        if url:
            self.by_url.setdefault(url, article)
        article.brought_by.add((row["vendor"], row["source"]))
        article.tickers.update(row["tickers"] or ())
        if len(words) >= FEWEST_WORDS and words not in article.titles:
            article.titles.append(words)
            for word in self._rarest(words):
                self.by_word[article.began.date(), _numbers(words), word].append(article)

    def _alike(self, row: dict[str, Any], words: frozenset[str]) -> _Article | None:
        if len(words) < FEWEST_WORDS or not row["url"].startswith("https:"):
            return None
        today: date = row["published_at"].date()
        tickers = set(row["tickers"] or ())
        rare, numbers = self._rarest(words), _numbers(words)
        near = {
            article.article_id: article
            for day in (today + timedelta(days=offset) for offset in range(-2, 3))
            for word in rare
            for article in self.by_word.get((day, numbers, word), ())
        }
        alike = [article for article in near.values() if self._same(article, row, words, tickers)]
        return min(alike, key=lambda article: (article.began, article.article_id), default=None)

    @staticmethod
    def _same(article: _Article, row: dict[str, Any], words: frozenset[str], tickers: set[str]) -> bool:
        # a publisher's own column of every day ("Stocks making the biggest moves") comes by the same way twice
        if (row["vendor"], row["source"]) in article.brought_by:
            return False
        if abs(row["published_at"] - article.began) > WINDOW:
            return False
        # the same sentence about another company, or with other numbers, is another story
        if tickers and article.tickers and not tickers & article.tickers:
            return False
        return any(
            len(words & title) >= THRESHOLD * len(words | title)
            and _numbers(words) == _numbers(title)
            and not _other_news(words - title, title - words)
            for title in article.titles
        )

    def _rarest(self, words: frozenset[str]) -> list[str]:
        prefix = len(words) - math.ceil(THRESHOLD * len(words)) + 1
        return sorted(words, key=lambda word: (self.frequency.get(word, 0), word))[:prefix]


def _other_news(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether the words that only one title and only the other has tell other news: one is negated, has a word that is
    good or bad and the other none like it, or has a word that none of the other's is akin to."""
    if any(word in NEGATIONS or word.endswith("n't") for word in one ^ other):
        return True
    return any(
        any(
            (len(mine) <= len(theirs) or lexicon.valence(word)) and not any(_akin(word, like) for like in theirs)
            for word in mine
        )
        for mine, theirs in ((one, other), (other, one))
    )


def _akin(one: str, other: str) -> bool:
    """Whether two words are as good or as bad ("jump", "surge"), else one word in two forms ("rise", "rises")."""
    valences = _valences()
    if one in valences and other in valences:
        return (valences[one] > 0) == (valences[other] > 0)
    stem = min(STEM, len(one), len(other))
    return stem > 2 and one[:stem] == other[:stem]


@lru_cache(maxsize=1)
def _valences() -> dict[str, float]:
    return {word: valence for word, valence in lexicon.words().items() if valence}


def _numbers(words: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in words if word[0].isdigit())
