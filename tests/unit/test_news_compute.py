"""One story is one article; a security's mood is what was known."""

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from closingbell.news.compute import ARTICLES, MEMBERS, SENTIMENT, article_id, sentiment, title_words, unify
from closingbell.news.parse import SIGHTINGS

T0 = datetime(2024, 7, 3, 13, tzinfo=UTC)
TITLE = "Acme raises full-year guidance as cloud demand surges"


def sighting(vendor, key, title=TITLE, *, url=None, hours=0.0, seen=None, source=None, tickers=("ACM",), article=None):
    return {
        "vendor": vendor,
        "vendor_id": key,
        "url": url or f"https://{vendor}.example.com/{key}",
        "title": title,
        "summary": None,
        "source": source or vendor,
        "published_at": T0 + timedelta(hours=hours),
        "seen_at": None,
        "tickers": list(tickers),
        "first_seen_at": T0 + timedelta(hours=hours if seen is None else seen),
        "article_id": article,
    }


def unified(*rows):
    schema = {**SIGHTINGS, "first_seen_at": pl.Datetime("us", "UTC"), "article_id": pl.Int64}
    return unify(pl.DataFrame(list(rows), schema=schema))


def groups(members):
    return sorted(sorted(group["vendor_id"].to_list()) for _, group in members.group_by("article_id"))


def test_one_story_of_three_vendors_is_one_article_with_three_sources():
    articles, members = unified(
        sighting("polygon", "p", TITLE + " - Reuters", hours=1, source="Reuters"),
        sighting("marketaux", "m", url="https://polygon.example.com/p", hours=2, tickers=["ACM", "CLD"]),
        sighting("tiingo", "t", "Acme raises full-year guidance; cloud demand surges", hours=5, tickers=[]),
        sighting("tiingo", "other", "Oil slips below eighty dollars a barrel", hours=5, tickers=[]),
    )
    assert groups(members) == [["m", "p", "t"], ["other"]]
    row = articles.filter(pl.col("vendors").list.len() == 3).row(0, named=True)
    assert row["article_id"] == article_id("polygon", "p")
    assert row["title"] == TITLE + " - Reuters"
    assert row["published_at"] == T0 + timedelta(hours=1)
    assert row["sources"] == ["Reuters", "marketaux", "tiingo"]
    assert row["tickers"] == ["ACM", "CLD"]
    assert articles.schema == pl.Schema(ARTICLES)
    assert members.schema == pl.Schema(MEMBERS)


def test_the_id_stays_when_later_sources_join_even_one_published_earlier():
    first, _ = unified(sighting("polygon", "p", hours=3))
    late = sighting("tiingo", "t", hours=1, seen=9)
    known = sighting("polygon", "p", hours=3, article=first["article_id"][0])
    later, _ = unified(late, known)
    assert later["article_id"].to_list() == first["article_id"].to_list()
    assert later["published_at"][0] == T0 + timedelta(hours=1)
    from_scratch, _ = unified(late, sighting("polygon", "p", hours=3))
    assert from_scratch.equals(later)


def test_the_order_of_the_rows_does_not_matter():
    rows = [
        sighting(vendor, f"{vendor}{n}", f"Story number {n} of the long day {n}") for n in range(5) for vendor in "abc"
    ]
    forward, members = unified(*rows)
    backward, _ = unified(*reversed(rows))
    assert forward.height == 5
    assert forward.equals(backward)
    assert members.height == 15


@pytest.mark.parametrize(
    ("title", "change"),
    [
        (TITLE, {"hours": 49}),  # beyond 48 hours
        (TITLE, {"tickers": ["OTHR"]}),  # another company
        ("Acme cuts jobs after cloud demand falls", {}),
        ("Market update", {}),
    ],
)
def test_what_is_another_story(title, change):
    _, members = unified(sighting("polygon", "p"), sighting("tiingo", "t", title, **change))
    assert groups(members) == [["p"], ["t"]]


def test_of_two_stories_that_a_copy_is_like_the_earlier_one_is_its_own():
    words = [f"w{number}" for number in range(1, 13)]
    one, two = " ".join(words[:10]), " ".join(words[:8] + words[10:12])  # 8 of 12 words: two stories
    between = " ".join(words[:8])  # 8 of 10 with each
    rows = [
        sighting("polygon", "p", one),
        sighting("tiingo", "t", two, hours=1),
        sighting("marketaux", "m", between, hours=2),
    ]
    assert groups(unified(*rows)[1]) == [["m", "p"], ["t"]]


def test_words_that_a_later_copy_brought_are_told_when_that_was_published():
    early = sighting("tiingo", "t", hours=1, seen=9)
    first = sighting("polygon", "p", hours=3, seen=4)
    assert unified(first, early)[0].select("published_at", "told_at").row(0) == (
        T0 + timedelta(hours=1), T0 + timedelta(hours=3)
    )  # fmt: skip
    summed = sighting("web", "w", hours=5, seen=5) | {"summary": "Revenue rose."}
    row = unified(first, early, summed)[0].row(0, named=True)
    assert (row["summary"], row["told_at"]) == ("Revenue rose.", T0 + timedelta(hours=5))


def test_the_same_sentence_with_other_numbers_is_another_story():
    one, two = "Acme declares quarterly dividend of $0.25 a share", "Acme declares quarterly dividend of $0.30 a share"
    _, members = unified(sighting("polygon", "p", one), sighting("tiingo", "t", two))
    assert groups(members) == [["p"], ["t"]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Apple stock rises after earnings beat analyst estimates in third quarter",
            "Apple stock falls after earnings beat analyst estimates in third quarter",
        ),
        (
            "Goldman Sachs upgrades Apple to buy on services growth outlook",
            "Goldman Sachs downgrades Apple to sell on services growth outlook",
        ),
        (
            "Court rules against Apple in Epic Games app store antitrust appeal",
            "Court rules for Apple in Epic Games app store antitrust appeal",
        ),
        (
            "FDA approves Acme drug for advanced lung cancer treatment",
            "FDA rejects Acme drug for advanced lung cancer treatment",
        ),
        (
            "Apple wins dismissal of shareholder lawsuit over App Store revenue",
            "Apple loses dismissal of shareholder lawsuit over App Store revenue",
        ),
        ("Acme Q1 EPS $0.50 beats estimates", "Acme Q1 EPS $0.50 misses estimates"),
        ("Apple upgraded at Morgan Stanley on iPhone demand", "Apple downgraded at Morgan Stanley on iPhone demand"),
        ("Acme raises full-year profit guidance on chip prices", "Acme cuts full-year profit guidance on chip prices"),
        ("Dow Jones futures up 200 points before jobs report", "Dow Jones futures down 200 points before jobs report"),
        ("Acme will appeal the ruling of the patent court", "Acme won't appeal the ruling of the patent court"),
        ("FTC clears Kroger Albertsons grocery merger deal", "FTC blocks Kroger Albertsons grocery merger deal"),
        (
            "Judge dismisses antitrust lawsuit brought by states over Google search",
            "Judge allows antitrust lawsuit brought by states over Google search",
        ),
        (
            "Pfizer phase three trial of obesity pill meets main goal",
            "Pfizer phase three trial of obesity pill misses main goal",
        ),
        ("Ford second quarter profit doubles on truck demand", "Ford second quarter profit halves on truck demand"),
        (
            "CFO of Acme Corporation resigns effective immediately board says",
            "CEO of Acme Corporation resigns effective immediately board says",
        ),
        (
            "Tesla recalls vehicles in China over steering defect",
            "Tesla recalls vehicles in Europe over steering defect",
        ),
    ],
)
def test_opposite_headlines_are_two_stories(one, other):
    _, members = unified(sighting("polygon", "p", one), sighting("tiingo", "t", other, hours=20))
    assert groups(members) == [["p"], ["t"]]


@pytest.mark.parametrize(
    ("title", "word"),
    [
        ("Acme denies merger talks with Beta Industries", "denies"),
        ("Acme halts trial of obesity drug", "halts"),
        ("Acme delays launch of flagship electric truck in Europe", "delays"),
        ("Acme fails to win approval of antitrust regulators for Beta deal", "fails"),
    ],
)
def test_a_good_or_bad_word_that_is_added_tells_another_story(title, word):
    plain = title.replace(f"{word} ", "")
    _, members = unified(sighting("polygon", "p", title), sighting("tiingo", "t", plain, hours=3))
    assert groups(members) == [["p"], ["t"]]
    neither = f"{title} today"
    _, members = unified(sighting("polygon", "p", neither), sighting("tiingo", "t", title, hours=3))
    assert groups(members) == [["p", "t"]]


@pytest.mark.parametrize("other", ["surge", "jumps", "jumped"])
def test_other_words_for_the_same_news_are_one_story(other):
    _, members = unified(
        sighting("polygon", "p", "Acme shares jump in early trading despite a loss of its cloud business"),
        sighting("tiingo", "t", f"Acme {other} in early trading today despite a loss of its cloud business", hours=20),
    )
    assert groups(members) == [["p", "t"]]


def test_a_publishers_column_of_every_day_is_a_new_story_each_day():
    title = "Stocks making the biggest moves midday Wednesday and why"
    _, members = unified(
        sighting("polygon", "a", title, source="CNBC"), sighting("polygon", "b", title, source="CNBC", hours=24)
    )
    assert groups(members) == [["a"], ["b"]]


def test_a_front_page_and_a_short_title_unite_nothing():
    _, members = unified(
        sighting("polygon", "p", "Acme news about cloud demand", url="https://acme.example.com/"),
        sighting("tiingo", "t", "Beta opens plant in Texas", url="https://acme.example.com/"),
        sighting("web", "w", "Market update"),
        sighting("marketaux", "m", "Market update"),
    )
    assert len(groups(members)) == 4


def test_days_of_a_data_set_are_never_one_story():
    rows = [
        sighting("fnspid", f"A:{day}", f"News about A of 2022-05-0{day}", url=f"fnspid:A:{day}", source=f"s{day}")
        for day in (1, 2)
    ]
    assert len(groups(unified(*rows)[1])) == 2


def test_words_of_a_title():
    assert title_words("Apple’s Q3 revenue tops $1,234.5 million - MarketWatch") == {
        "apple", "q3", "revenue", "tops", "1234.5", "million"
    }  # fmt: skip
    assert title_words("Fed cuts: UBS By Investing.com") == {"fed", "cuts", "ubs"}


def test_thousands_of_sightings_of_one_sentence_are_told_apart_by_their_rare_words():
    rows = [
        sighting(vendor, f"{n}", f"Company {n} wins contract {n} for port {n % 97} in region {n % 89}", hours=n % 600)
        for n in range(1_500)
        for vendor in ("polygon", "tiingo")
    ]
    articles, members = unified(*rows)
    assert (articles.height, members.height) == (1_500, 3_000)


# --- sentiment ---------------------------------------------------------------------------------------------------

CLOSE = datetime(2024, 7, 31, 20, tzinfo=UTC)


def score(article, source, value, *, hours=1.0, relevance=None, security=1, scored=None):
    return {
        "article_id": article,
        "security_id": security,
        "source": source,
        "score": value,
        "relevance": relevance,
        "published_at": CLOSE - timedelta(hours=hours),
        "scored_at": scored and CLOSE + timedelta(hours=scored),
    }


SCORES = {
    "article_id": pl.Int64,
    "security_id": pl.Int64,
    "source": pl.String,
    "score": pl.Float64,
    "relevance": pl.Float64,
    "published_at": pl.Datetime("us", "UTC"),
    "scored_at": pl.Datetime("us", "UTC"),
}


def mood(*rows, weights=None):
    scores, day = pl.DataFrame(list(rows), schema=SCORES), date(2024, 7, 31)
    frame = sentiment(scores, known_at=CLOSE, day=day, model="finbert", weights=weights)
    assert frame.schema == pl.Schema(SENTIMENT)
    return frame


def test_sources_are_weighted_by_relevance_and_the_unified_mood_is_the_mean_of_the_sources():
    row = mood(
        score(1, "polygon", 1.0, relevance=0.75),
        score(2, "polygon", -1.0, relevance=0.25),
        score(1, "finbert", 0.1, hours=5),
        score(3, "finbert", 0.4, hours=10 * 24),
    ).row(0, named=True)
    by_source = json.loads(row["by_source"])
    # polygon: (0.75 - 0.25) / 1; finbert: 0.1 in 7 days, (0.1 + 0.4) / 2 in 30
    assert by_source["polygon"]["sentiment_7d"] == 0.5
    assert by_source["finbert"]["sentiment_7d"] == pytest.approx(0.1)
    assert by_source["finbert"]["sentiment_30d"] == pytest.approx(0.25)
    assert row["sentiment_7d"] == pytest.approx((0.5 + 0.1) / 2)
    assert row["sentiment_30d"] == pytest.approx((0.5 + 0.25) / 2)
    assert (row["articles_7d"], row["articles_30d"]) == (2, 3)
    assert row["hours_since"] == 1.0
    for days in ("7d", "30d"):
        assert sum(each[f"share_{days}"] for each in by_source.values()) == pytest.approx(row[f"sentiment_{days}"])


def test_of_our_models_one_score_an_article_counts_the_configured_ones_else_the_newest():
    rows = [
        score(1, "polygon", 1.0),
        score(1, "marketaux", 0.5),
        score(1, "finbert", -0.2, scored=1),  # configured
        score(1, "lexicon", 0.8, scored=2),
        score(2, "lexicon", 0.4, scored=1),
        score(2, "gemini", 0.6, scored=2),
        score(2, "finbert", -1.0, scored=3, hours=-1),  # of words that the close did not know
        score(1, "lexicon", 0.3, scored=2, security=2),
    ]
    first, second = mood(*rows).iter_rows(named=True)
    by_source = json.loads(first["by_source"])
    assert {source: (each["sentiment_7d"], each["articles_7d"]) for source, each in by_source.items()} == {
        "polygon": (1.0, 1), "marketaux": (0.5, 1), "finbert": (-0.2, 1), "gemini": (0.6, 1)
    }  # fmt: skip
    assert first["articles_7d"] == 2
    assert list(json.loads(second["by_source"])) == ["lexicon"]


def test_the_order_of_the_scores_does_not_change_a_bit():
    rows = [score(n % 40, f"s{n % 3}", 1 / (n + 3), hours=n % 700, relevance=1 / (n % 7 + 1)) for n in range(2_000)]
    rows += [score(n // 3, f"m{n % 3}", 1 / (n + 3), scored=n // 30 + 1) for n in range(300)]
    forward = mood(*rows)
    assert all(mood(*rows[n:], *rows[:n]).equals(forward) for n in (1, 333, 1_999))


def test_weights_of_the_settings():
    rows = (score(1, "polygon", 1.0), score(1, "finbert", -1.0))
    row = mood(*rows, weights={"finbert": 3.0}).row(0, named=True)
    assert row["sentiment_7d"] == pytest.approx((1 - 3) / 4)
    assert json.loads(row["by_source"])["finbert"]["weight"] == 3.0
    assert mood(*rows, weights={"finbert": 0.0})["sentiment_7d"].to_list() == [1.0]
    assert mood(*rows, weights={"finbert": 0.0, "polygon": 0.0})["sentiment_7d"].to_list() == [None]
    with pytest.raises(ValueError, match="not negative"):
        mood(*rows, weights={"finbert": -1.0})


def test_news_after_the_moment_is_not_known():
    assert mood(score(1, "polygon", 1.0, hours=-0.001)).height == 0
    assert mood(score(1, "polygon", 1.0, hours=0)).height == 1


def test_the_windows_ends():
    assert mood(score(1, "p", 1.0, hours=30 * 24)).height == 0
    row = mood(score(1, "p", 1.0, hours=7 * 24)).row(0, named=True)
    assert (row["sentiment_7d"], row["sentiment_30d"], row["articles_7d"]) == (None, 1.0, 0)


def test_no_relevance_at_all_is_no_mood_and_securities_stay_apart():
    frame = mood(
        score(1, "p", 1.0, relevance=0.0), score(2, 'o"d', -0.5, security=2), score(3, "p", 1.0, security=None)
    )
    assert frame.select("security_id", "sentiment_7d").rows() == [(1, None), (2, -0.5)]
    assert list(json.loads(frame["by_source"][1])) == ['o"d']
