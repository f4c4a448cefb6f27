"""Vendors' news answers and web pages to one shape."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from closingbell.news import pages
from closingbell.news.pages import MAX_BYTES, MAX_TAGS, read_sources, sources
from closingbell.news.parse import (
    OPINIONS,
    SIGHTINGS,
    Refused,
    canonical_url,
    fnspid_csv,
    marketaux_news,
    polygon_news,
    tiingo_news,
    whole_from,
)

POLYGON = {
    "id": "8ec6",
    "publisher": {"name": "Investing.com", "homepage_url": "https://www.investing.com/", "logo_url": "x"},
    "title": "Markets are underestimating Fed cuts: UBS &amp; co",
    "author": "Sam",
    "published_utc": "2024-06-24T18:33:53Z",
    "article_url": "https://UK.investing.com/news/fed-cuts-3559968/?utm_source=x&b=2&a=1#top",
    "tickers": ["UBS"],
    "description": "UBS analysts\n warn.",
    "insights": [
        {"ticker": "UBS", "sentiment": "positive", "sentiment_reasoning": "bullish"},
        {"ticker": "BRK-B", "sentiment": "negative", "sentiment_reasoning": "hurt"},
    ],
}
# the shape of Marketaux' published example (values invented)
MARKETAUX = {
    "uuid": "70cb577e-c2dd-4dde-b501-f713823a4939",
    "title": "Microsoft caught hackers",
    "description": "Last month.",
    "keywords": "",
    "snippet": "Last",
    "url": "https://www.investing.com/news/hackers?ref=rss",
    "image_url": "x",
    "language": "en",
    "published_at": "2024-03-21T16:42:04.000000Z",
    "source": "investing.com",
    "relevance_score": None,
    "entities": [
        {"symbol": "MSFT", "name": "Microsoft", "exchange": None, "exchange_long": None, "country": "us",
         "type": "equity", "industry": "Technology", "match_score": 12.5, "sentiment_score": -0.28595},
        {"symbol": "GOOGL", "name": "Alphabet", "exchange": None, "exchange_long": None, "country": "us",
         "type": "equity", "industry": "Technology", "match_score": 5.0, "sentiment_score": 0.5, "highlights": []},
        {"symbol": "SPX", "name": "S&P", "type": "index", "match_score": 90.0, "sentiment_score": 0.9},
    ],
    "similar": [],
}  # fmt: skip


def polygon(**change):
    return polygon_news(json.dumps({"results": [{**POLYGON, **change}], "status": "OK", "count": 1}).encode())


def marketaux(**change):
    meta = {"found": 1, "returned": 1, "limit": 3, "page": 1}
    return marketaux_news(json.dumps({"meta": meta, "data": [{**MARKETAUX, **change}]}).encode())


def test_a_polygon_story_and_its_insights():
    answer = polygon()
    assert answer.sightings.row(0, named=True) == {
        "vendor": "polygon",
        "vendor_id": "8ec6",
        "url": "https://uk.investing.com/news/fed-cuts-3559968?a=1&b=2",
        "title": "Markets are underestimating Fed cuts: UBS & co",
        "summary": "UBS analysts warn.",
        "source": "Investing.com",
        "published_at": datetime(2024, 6, 24, 18, 33, 53, tzinfo=UTC),
        "seen_at": None,
        "tickers": ["BRK.B", "UBS"],
    }
    assert answer.opinions.select("ticker", "model", "score", "reason").rows() == [
        ("UBS", "polygon", 1.0, "bullish"),
        ("BRK.B", "polygon", -1.0, "hurt"),
    ]
    assert answer.sightings.schema == pl.Schema(SIGHTINGS)
    assert answer.opinions.schema == pl.Schema(OPINIONS)


def test_a_sentiment_word_that_is_not_of_the_vendors_three_is_no_number():
    answer = polygon(insights=[{"ticker": "UBS", "sentiment": "mixed", "sentiment_reasoning": ""}])
    assert answer.sightings.height == 1
    assert answer.opinions.height == 0
    assert answer.problems["problem"].to_list() == ["score_out_of_range"]


def test_a_marketaux_story_relevance_is_against_the_best_match_of_its_securities():
    answer = marketaux()
    row = answer.sightings.row(0, named=True)
    assert row["published_at"] == datetime(2024, 3, 21, 16, 42, 4, tzinfo=UTC)
    assert row["tickers"] == ["GOOGL", "MSFT"]  # an index's symbol may be another company's ticker
    assert row["url"] == "https://www.investing.com/news/hackers"
    assert answer.opinions.select("ticker", "score", "relevance").rows() == [
        ("MSFT", -0.28595, 1.0),
        ("GOOGL", 0.5, 0.4),
    ]


def test_pages_of_marketaux_that_leave_stories_out_are_whole_from_the_oldest_that_came():
    def page(found, *hours):
        rows = [
            {**MARKETAUX, "uuid": f"{hour}", "published_at": f"2025-12-05T{hour:02}:00:00.000000Z"} for hour in hours
        ]
        return marketaux_news(json.dumps({"meta": {"found": found}, "data": rows}).encode())

    assert whole_from([page(3, 14, 12, 9)]) is None
    assert whole_from([page(0)]) is None
    assert whole_from([page(4, 14, 12, 9)]) == datetime(2025, 12, 5, 9, tzinfo=UTC)
    assert whole_from([page(6, 14, 12, 9), page(7, 8, 5, 4)]) == datetime(2025, 12, 5, 4, tzinfo=UTC)
    assert whole_from([page(6, 14, 12, 9), page(6, 8, 5, 4)]) is None
    assert whole_from([polygon()]) is None


def test_marketaux_errors_are_named():
    with pytest.raises(ValueError, match="marketaux news: the vendor answers an error: usage_limit_reached"):
        marketaux_news(b'{"error": {"code": "usage_limit_reached", "message": "spent"}}')
    with pytest.raises(ValueError, match="column data is missing"):
        marketaux_news(b'{"meta": {}}')


def test_an_answer_nested_without_end_is_named():
    with pytest.raises(ValueError, match="polygon news: the body is not JSON"):
        polygon_news(b"[" * 100_000 + b"]" * 100_000)


def test_missing_and_unknown_columns_are_named():
    with pytest.raises(ValueError, match="polygon news: column mood is unknown"):
        polygon(mood="x")
    with pytest.raises(ValueError, match="tiingo news: column url is missing"):
        tiingo_news(b'[{"id": 1, "title": "x", "publishedDate": "2020-01-01", "source": "a", "tickers": []}]')
    with pytest.raises(ValueError, match="polygon news: column results is missing, status is 'ERROR': Unknown API Key"):
        polygon_news(b'{"status": "ERROR", "error": "Unknown API Key"}')
    with pytest.raises(ValueError, match="not JSON"):
        polygon_news(b"<html>")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"title": "  "}, "no_title"),
        ({"article_url": ""}, "bad_url"),
        ({"article_url": "javascript:alert(1)"}, "bad_url"),
        ({"article_url": "http://[::1"}, "bad_url"),
        ({"published_utc": "yesterday"}, "no_such_time"),
        ({"published_utc": None}, "no_such_time"),
    ],
)
def test_a_story_that_lacks_what_a_story_needs_is_a_problem(change, problem):
    answer = polygon(**change)
    assert (answer.sightings.height, answer.opinions.height, answer.received) == (0, 0, 1)
    assert answer.problems["problem"].to_list() == [problem]


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTP://WWW.Example.com:80/A/b/", "https://www.example.com/A/b"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com/a?utm_medium=x&fbclid=1&id=7", "https://example.com/a?id=7"),
        ("https://finance.yahoo.com/n/x.html?.tsrc=rss&guccounter=1", "https://finance.yahoo.com/n/x.html"),
        ("https://example.com:8443/a?b=2&a=%C3%A9", "https://example.com:8443/a?a=%C3%A9&b=2"),
    ],
)
def test_one_address_of_a_page(url, canonical):
    assert canonical_url(url) == canonical
    assert canonical_url(canonical) == canonical


def test_text_holds_nothing_that_a_table_refuses():
    row = polygon(title="A\x00B\x1b[31m  C", description="x" * 9000).sightings.row(0, named=True)
    assert row["title"] == "A B [31m C"
    assert len(row["summary"]) == 5000
    with pytest.raises(Refused):
        canonical_url("https://nodots/")


SERIES = (
    b"Date,Volume,Open,High,Low,Close,Adj close,Sentiment_gpt,News_flag,Scaled_sentiment\n"
    b"2022-05-02 00:00:00+00:00,1,1,1,1,1,1,2.5,1.0,0.1\n"
    b"2022-05-03 00:00:00+00:00,1,1,1,1,1,1,4.9,0.0,0.9\n"
    b"2022-05-04 00:00:00+00:00,1,1,1,1,1,1,5,1.0,0.9\n"
    b"2022-05-05 00:00:00+00:00,1,1,1,1,1,1,7,1.0,0.9\n"
)


def test_fnspid_series_rescales_and_is_known_at_the_end_of_its_day():
    answer = fnspid_csv(SERIES, ticker="TSLA")
    # (2.5 - 3) / 2 and (5 - 3) / 2; 7 is off the scale; the carried day is no news
    assert answer.opinions["score"].to_list() == [-0.25, 1.0]
    assert answer.problems["problem"].to_list() == ["score_out_of_range"]
    assert answer.sightings["published_at"][0] == datetime(2022, 5, 3, tzinfo=UTC)
    assert answer.sightings["url"][0] == "fnspid:TSLA:2022-05-02"
    with pytest.raises(ValueError, match="does not name its ticker"):
        fnspid_csv(SERIES)


def test_fnspid_stories():
    body = (
        b"Date,Article_title,Stock_symbol,Url,Publisher,Author,Article,Lsa_summary,Sentiment_gpt\n"
        b'2020-06-05 06:30:54 UTC,"Stocks, That Hit Highs",A,https://www.benzinga.com/news/1,Benzinga,,,Short.,4\n'
        b"2020-06-03 00:00:00 UTC,Dated by day,A,https://www.benzinga.com/news/2,,,,,\n"
    )
    answer = fnspid_csv(body)
    first, second = answer.sightings.iter_rows(named=True)
    assert first["published_at"] == datetime(2020, 6, 5, 6, 30, 54, tzinfo=UTC)
    assert (first["source"], first["summary"], first["tickers"]) == ("Benzinga", "Short.", ["A"])
    assert second["published_at"] == datetime(2020, 6, 4, tzinfo=UTC)
    assert answer.opinions.select("ticker", "score").rows() == [("A", 0.5)]


# --- web pages ---------------------------------------------------------------------------------------------------

DECLARED = r"""
[[source]]
name = "wire"
publisher = "The Wire"
url = "https://wire.example.com/feed"
kind = "rss"
time = "rfc822"
zone = "UTC"
tickers = '(?:NYSE|NASDAQ):\s*([A-Z.]+)'

[[source]]
name = "gazette"
publisher = "The Gazette"
url = "https://www.gazette.example.com/news/"
kind = "html"
item = "article"
title = "h3"
link = "a@href"
published = "h3 small"
summary = "p.lead"
time = "%b %d, %Y, %H:%M ET"
zone = "America/New_York"
tickers = '(?:NYSE|NASDAQ):\s*([A-Z.]+)'
"""
WIRE, GAZETTE = read_sources(DECLARED)
SEEN = datetime(2024, 7, 3, 21, tzinfo=UTC)
HTML = """<html><body><article><h3><small>Jul 03, 2024, 09:05 ET</small> Acme &amp; Sons raises guidance</h3>
<a href="/news/acme-1?utm_source=home">more</a><p class=lead>Acme (NYSE: ACM) said <b>more</b></p></article>
<article><h3><small>Jul 03, 2024, 08:00 ET</small> Elsewhere</h3><a href="https://evil.example.net/x">x</a></article>
</body></html>"""
RSS = """<?xml version="1.0"?><rss version="2.0"><channel><item><title>Acme wins order</title>
<link>https://wire.example.com/a1?utm_medium=rss</link><pubDate>Wed, 03 Jul 2024 09:05:00 -0400</pubDate>
<description>&lt;p&gt;Acme won.&lt;/p&gt;</description><category>NASDAQ:ACM</category></item></channel></rss>"""


def page_news(body, source, seen_at=SEEN):
    return pages.page_news(body, source, seen_at=seen_at)


def test_an_html_page_by_its_declared_selectors():
    answer = page_news(HTML.encode(), GAZETTE)
    row = answer.sightings.row(0, named=True)
    assert row["title"] == "Acme & Sons raises guidance"
    assert row["published_at"] == datetime(2024, 7, 3, 13, 5, tzinfo=UTC)
    assert (row["source"], row["summary"], row["tickers"]) == ("The Gazette", "Acme (NYSE: ACM) said more", ["ACM"])
    assert row["url"] == "https://www.gazette.example.com/news/acme-1"
    assert answer.problems["problem"].to_list() == ["other_host"]  # a page may name only its own host


CARD = """<div class="row newsCards" lang="en-US"><div class="col-sm-12 card">
<a class="newsreleaseconsolidatelink display-outline w-100" href="/news-releases/acme-302470771.html" role="group">
<h3 class="no-top-margin remove-outline"><small>{}</small> ACME PROGRESSES</h3>
<p class="remove-outline">Acme Corp. (NASDAQ: ACM) announced today</p></a></div></div>"""


@pytest.mark.parametrize(
    ("shown", "seen_at", "published"),
    [
        ("10:10 ET", datetime(2024, 7, 3, 21, tzinfo=UTC), datetime(2024, 7, 3, 14, 10, tzinfo=UTC)),
        ("23:55 ET", datetime(2024, 7, 4, 4, 1, tzinfo=UTC), datetime(2024, 7, 4, 3, 55, tzinfo=UTC)),
        ("Jul 02, 2024, 17:04 ET", datetime(2024, 7, 3, 21, tzinfo=UTC), datetime(2024, 7, 2, 21, 4, tzinfo=UTC)),
        # the hour that comes twice: the later one, so that nothing is known too early
        ("Nov 03, 2024, 01:30 ET", datetime(2024, 11, 4, tzinfo=UTC), datetime(2024, 11, 3, 6, 30, tzinfo=UTC)),
    ],
)
def test_pr_newswire_gives_the_days_own_stories_a_time_without_a_date(shown, seen_at, published):
    source = next(source for source in sources() if source.name == "prnewswire")
    row = page_news(CARD.format(shown).encode(), source, seen_at).sightings.row(0, named=True)
    assert (row["published_at"], row["title"], row["tickers"]) == (published, "ACME PROGRESSES", ["ACM"])
    assert row["url"] == "https://www.prnewswire.com/news-releases/acme-302470771.html"


def test_a_feed_on_another_host_than_its_stories_declares_it():
    source = next(source for source in sources() if source.name == "businesswire")
    link = "https://www.businesswire.com/news/home/20260301000001/en"
    feed = RSS.replace("https://wire.example.com/a1?utm_medium=rss", f"{link}/?feedref=JjAwJuNHiystnCoBq")
    assert page_news(feed.encode(), source).sightings["url"].to_list() == [link]
    with pytest.raises(
        ValueError, match=r"web businesswire: none of its 1 stories .* is not on www\.businesswire\.com"
    ):
        page_news(RSS.encode(), source)


def test_the_feed_of_globenewswire_as_it_is_printed():
    feed = """<?xml version="1.0" encoding="utf-8"?><rss version="2.0"
 xmlns:dc="http://dublincore.org/documents/dcmi-namespace/"><channel><item>
<guid isPermaLink="true">https://www.globenewswire.com/news-release/1.html</guid>
<link>https://www.globenewswire.com/news-release/1.html</link>
<category domain="https://www.globenewswire.com/rss/stock">Nasdaq:ACME</category>
<category domain="https://www.globenewswire.com/rss/ISIN">US0000000001</category>
<title>Acme Receives Approval</title><description><![CDATA[<p><b>Acme</b> receives</p>]]></description>
<pubDate>Fri, 02 Oct 2026 18:06 GMT</pubDate><dc:identifier>1</dc:identifier></item></channel></rss>"""
    row = page_news(feed.encode(), sources()[0]).sightings.row(0, named=True)
    assert (row["published_at"], row["tickers"]) == (datetime(2026, 10, 2, 18, 6, tzinfo=UTC), ["ACME"])
    assert row["summary"] == "Acme receives"


def test_a_feed():
    row = page_news(RSS.encode(), WIRE).sightings.row(0, named=True)
    assert (row["title"], row["summary"], row["tickers"]) == ("Acme wins order", "Acme won.", ["ACM"])
    assert row["published_at"] == datetime(2024, 7, 3, 13, 5, tzinfo=UTC)
    atom = (
        '<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>Acme</title><link href="https://wire.example.com/a"/>'
        "<updated>Wed, 03 Jul 2024 09:05:00 GMT</updated><summary>NYSE: ACM</summary></entry></feed>"
    )
    assert page_news(atom.encode(), WIRE).sightings["tickers"].to_list() == [["ACM"]]


def test_a_page_that_changed_fails_by_its_sources_name():
    with pytest.raises(ValueError, match=r"web gazette: nothing matches .* the page has changed"):
        page_news(HTML.replace("article", "section").encode(), GAZETTE)
    with pytest.raises(ValueError, match=r"web gazette: none of its 2 stories is whole"):
        page_news(HTML.replace("small", "em").encode(), GAZETTE)
    with pytest.raises(ValueError, match=r"web wire: nothing matches"):
        page_news(b"<rss><channel/></rss>", WIRE)
    with pytest.raises(ValueError, match=r"web wire: the feed: no XML"):
        page_news(b"<rss><channel>", WIRE)


def test_a_page_of_50_megabytes_is_refused_before_anything_parses_it(monkeypatch):
    import bs4

    monkeypatch.setattr(bs4, "BeautifulSoup", None)
    with pytest.raises(ValueError, match="web gazette: the page has 50,000,000 bytes"):
        page_news(b"<div>" * 10_000_000, GAZETTE)
    with pytest.raises(ValueError, match=f"tags, more than {MAX_TAGS:,}"):
        page_news(b"<div>" * (MAX_TAGS + 1), GAZETTE)
    assert MAX_BYTES < 50_000_000


def test_a_page_made_to_be_slow_is_refused():
    with pytest.raises(ValueError, match="web gazette: the page is nested deeper than 200"):
        page_news(b"<div>" * (MAX_TAGS - 10), GAZETTE)
    with pytest.raises(ValueError, match="web gazette: more than 500 stories"):
        page_news(b"<article><h3>x</h3></article>" * 501, GAZETTE)


def test_a_story_within_a_story_is_a_part_of_it():
    nested = HTML.replace("<article>", "<article><article>", 1).replace("</article>", "</article></article>", 1)
    assert page_news(nested.encode(), GAZETTE).received == 2


def test_the_declared_sources():
    assert len(sources()) == 3
    assert all(source.host and source.url.startswith("https://") for source in sources())
    with pytest.raises(ValueError, match="unknown field"):
        read_sources(DECLARED.replace("item =", "items ="))
    with pytest.raises(ValueError, match="gazette: kind is rss or html"):
        read_sources(DECLARED.replace('link = "a@href"', ""))
