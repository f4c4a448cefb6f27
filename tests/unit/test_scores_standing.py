"""Ratings, insiders, institutions and news in a score: which row stands at a close, and when none does."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from closingbell.insiders import compute as insiders
from closingbell.institutions import compute as institutions
from closingbell.institutions.parse import FILINGS
from closingbell.news import compute as news
from closingbell.ratings import compute as ratings
from closingbell.scores import compute, standing
from closingbell.scores.factors import FACTORS, MAX_AGE_DAYS, METRICS, STALE_DAYS, Source

SESSION, BEFORE = date(2024, 3, 4), date(2024, 3, 1)  # a Monday, the Friday before
CLOSE = datetime(2024, 3, 4, 21, tzinfo=UTC)
SCHEMAS = {
    "financials": compute.FINANCIALS, "valuations": compute.VALUATIONS, "indicators": compute.INDICATORS,
    "splits": compute.SPLITS, "splits_known": compute.SPLITS_KNOWN, "consensus": standing.CONSENSUS,
    "insiders": standing.INSIDERS, "ownership": standing.OWNERSHIP, "sentiment": standing.SENTIMENT,
}  # fmt: skip
MINUTE = timedelta(minutes=1)


def frame(schema, *rows: dict) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")


def read(*ids: int, share: dict | None = None, session=SESSION, close=CLOSE, **rows) -> dict[int, dict]:
    """{security_id: {metric: (raw, source key)}} of shares at 50 dollars whose insiders file."""
    universe = [
        {
            "security_id": id_,
            "session": session,
            "cik": id_,
            "sector_assumed": False,
            "close": 50.0,
            "files_form_4": True,
        }
        | (share or {})
        for id_ in ids or (1,)
    ]
    frames = {
        name: given if isinstance(given := rows.get(name, ()), pl.DataFrame) else frame(schema, *given)
        for name, schema in SCHEMAS.items()
    }
    found: dict[int, dict] = {id_: {} for id_ in ids or (1,)}
    metrics = compute.metrics_from(frame(compute.UNIVERSE, *universe), **frames, closes={session: close})
    for id_, name, raw, key in metrics.select("security_id", "metric", "raw", "source_key").iter_rows():
        found[id_][name] = (raw, key)
    return found


def raws(found: dict[int, dict], id_: int = 1) -> dict[str, float]:
    return {name: raw for name, (raw, _) in found[id_].items()}


def consensus(session=SESSION, security_id=1, **values) -> dict:
    return {
        "security_id": security_id, "session": session, "known_at": CLOSE - timedelta(days=20), "rating_mean": 4.5,
        "target_mean": 60.0, "firms": 3, "ratings_from": session - timedelta(days=366), **values,
    }  # fmt: skip


def activity(session=SESSION, security_id=1, **values) -> dict:
    return {
        "security_id": security_id, "session": session, "known_at": CLOSE - timedelta(days=9), "net_value_30d": 2e6,
        "unpriced_30d": 0, "buyers_30d": 3, "net_value_90d": -1e6, "unpriced_90d": 0,
        "filings_from": session - timedelta(days=89), **values,
    }  # fmt: skip


def owned(session=BEFORE, security_id=1, quarter=date(2023, 12, 31), **values) -> dict:
    return {
        "security_id": security_id, "session": session, "quarter": quarter, "known_at": CLOSE - timedelta(days=5),
        "filers": 4000, "holders": 40, "share_owned": 0.6, "compared_shares": 110.0, "shares_before": 100.0, **values,
    }  # fmt: skip


def mood(session=SESSION, security_id=1, **values) -> dict:
    known_at = CLOSE - timedelta(days=(SESSION - session).days)
    return {
        "security_id": security_id, "session": session, "known_at": known_at, "sentiment_7d": 0.4,
        "sentiment_30d": -0.2, **values,
    }  # fmt: skip


MARKET_VALUE = {"security_id": 1, "session": SESSION, "market_cap": 1e9}
ALL = {
    "consensus": [consensus()], "insiders": [activity()], "ownership": [owned()], "sentiment": [mood()],
    "valuations": [MARKET_VALUE],
}  # fmt: skip
EXPECTED = {
    "analyst_rating": 4.5, "target_upside": 60 / 50 - 1, "analyst_firms": 3.0, "insider_buying_30d": 0.002,
    "insider_buying_90d": -0.001, "insider_buyers": 3.0, "institutional_share": 0.6,
    "institutional_change": 110 / 100 - 1, "institutional_holders": 40.0, "news_sentiment_7d": 0.4,
    "news_sentiment_30d": -0.2,
}  # fmt: skip


def test_each_metric_is_read_with_the_key_of_its_row():
    found = read(**ALL)[1]
    assert {name: raw for name, (raw, _) in found.items()} == EXPECTED
    keys = {METRICS[name].source: key for name, (_, key) in found.items()}
    assert keys == {
        Source.CONSENSUS: '["analyst_consensus",1,"2024-03-04"]',
        Source.INSIDERS: '["insider_activity",1,"2024-03-04"]',
        Source.OWNERSHIP: '["institutional_ownership",1,"2024-03-01","2023-12-31"]',
        Source.SENTIMENT: '["sentiment_daily",1,"2024-03-04"]',
    }


def test_every_metric_declares_what_it_reads():
    """Its inputs are columns of its source, it explains itself, and how old its rows may be is declared once."""
    columns = {
        Source.VALUATION: compute.VALUATIONS, Source.TECHNICAL: compute.INDICATORS, Source.FLOWS: compute.FINANCIALS,
        Source.BALANCE: compute.FINANCIALS, Source.GROWTH: compute.FINANCIALS,
        Source.CONSENSUS: standing.CONSENSUS | {"close": pl.Float64},
        Source.INSIDERS: standing.INSIDERS | {"market_cap": pl.Float64}, Source.OWNERSHIP: standing.OWNERSHIP,
        Source.SENTIMENT: standing.SENTIMENT,
    }  # fmt: skip
    assert all(factor.metrics and factor.sentence for factor in FACTORS)
    for metric in METRICS.values():
        assert metric.inputs, metric.name
        assert set(metric.inputs) <= columns[metric.source].keys(), metric.name
        assert metric.sentence.endswith("."), metric.name
        assert metric.stale_after.endswith("."), metric.name
    limits = {
        name: [int(word) for word in metric.stale_after.split() if word.isdigit()] for name, metric in METRICS.items()
    }
    assert {name: limits[name] for name in ("sales_yield", "roe", "return_1m", "analyst_firms", "insider_buyers")} == {
        "sales_yield": [200, 500], "roe": [200, 500], "return_1m": [], "analyst_firms": [5], "insider_buyers": [5],
    }  # fmt: skip
    assert limits["institutional_share"] == [150]
    assert limits["news_sentiment_7d"] == [5]
    assert set(MAX_AGE_DAYS) == {Source.CONSENSUS, Source.INSIDERS, Source.SENTIMENT, Source.OWNERSHIP}
    assert STALE_DAYS["quarters"] == 200
    assert STALE_DAYS["years"] == 500


# -- known at the close


@pytest.mark.parametrize("name", ["consensus", "insiders", "ownership", "sentiment"])
def test_what_a_later_moment_knew_moves_nothing(name):
    """Rows of a later session, and of this one known a minute after its close, of shares with a row and without."""
    poison = dict.fromkeys(("rating_mean", "target_mean", "firms", "net_value_30d", "buyers_30d", "holders"), 5)
    poison |= dict.fromkeys(("share_owned", "compared_shares", "sentiment_7d", "sentiment_30d"), 1)
    row = {key: value for key, value in poison.items() if key in SCHEMAS[name]}
    make = {"consensus": consensus, "insiders": activity, "ownership": owned, "sentiment": mood}[name]
    later = [
        make(session=date(2024, 3, 5), security_id=id_, **row, known_at=moment)
        for id_ in (1, 2)
        for moment in (CLOSE - MINUTE, CLOSE + MINUTE)
    ]
    later += [make(session=SESSION, security_id=2, **row, known_at=CLOSE + MINUTE)]
    shares = ALL["valuations"] + [MARKET_VALUE | {"security_id": 2}]
    assert read(1, 2, **ALL | {"valuations": shares, name: ALL[name] + later}) == read(
        1, 2, **ALL | {"valuations": shares}
    )
    # a table that has nothing but the later rows has nothing
    alone = read(1, 2, **ALL | {"valuations": shares, name: later})
    source = {"consensus": "CONSENSUS", "insiders": "INSIDERS", "ownership": "OWNERSHIP", "sentiment": "SENTIMENT"}
    assert not [m for own in alone.values() for m in own if METRICS[m].source is Source[source[name]]]


@pytest.mark.parametrize("moment", [CLOSE - MINUTE, CLOSE, CLOSE + MINUTE])
def test_a_form_4_counts_from_its_acceptance(moment):
    trade = {
        "accession_no": "0000000001-24-000001", "is_derivative": False, "row_no": 1, "form": "4", "issuer_cik": 1,
        "security_id": 1, "owner_ciks": [7], "security_title": "Common", "transaction_date": BEFORE,
        "transaction_code": "P", "shares": 100.0, "price_per_share": 50.0, "total_value": 5000.0,
        "shares_owned_after": 100.0, "filed_on": SESSION, "known_at": moment, "superseded_by": None,
        "superseded_at": None, "direct": True, "is_ten_percent_owner": False,
    }  # fmt: skip
    older = trade | {"accession_no": "0000000001-24-000000", "known_at": CLOSE - timedelta(days=2), "shares": 60.0}
    older |= {"total_value": 3000.0, "shares_owned_after": 60.0}
    sessions = frame({"session": pl.Date, "closes_at": compute.UTC}, {"session": SESSION, "closes_at": CLOSE})
    schema = {
        "accession_no": pl.String, "is_derivative": pl.Boolean, "row_no": pl.Int64, "form": pl.String,
        "issuer_cik": pl.Int64, "security_id": pl.Int64, "owner_ciks": pl.List(pl.Int64), "security_title": pl.String,
        "transaction_date": pl.Date, "transaction_code": pl.String, "shares": pl.Float64,
        "price_per_share": pl.Float64, "total_value": pl.Float64, "shares_owned_after": pl.Float64,
        "filed_on": pl.Date, "known_at": compute.UTC, "superseded_by": pl.String, "superseded_at": compute.UTC,
        "direct": pl.Boolean, "is_ten_percent_owner": pl.Boolean,
    }  # fmt: skip
    rows = insiders.activity(pl.DataFrame([older, trade], schema=schema), sessions)
    rows = rows.with_columns(filings_from=pl.lit(date(2023, 1, 3)))
    bought = 8000.0 if moment <= CLOSE else 3000.0
    assert raws(read(insiders=rows, valuations=[MARKET_VALUE]))["insider_buying_30d"] == pytest.approx(bought / 1e9)


@pytest.mark.parametrize("moment", [CLOSE - MINUTE, CLOSE, CLOSE + MINUTE])
def test_a_13f_counts_from_its_acceptance(moment):
    quarter = date(2023, 12, 31)

    def filing(number: int, known_at: datetime) -> tuple[dict, dict]:
        accession_no = f"0000000001-24-{number:06}"
        common = {"accession_no": accession_no, "institution_cik": number, "quarter": quarter, "known_at": known_at}
        cover = common | {"form": "13F-HR", "report_type": "13F HOLDINGS REPORT", "file_number": f"028-{number}"}
        position = common | {"row_no": 1, "cusip": "000000001", "security_id": 1, "shares": 30.0, "market_value": 9.0}
        return cover, position

    covers, positions = zip(filing(1, CLOSE - timedelta(days=30)), filing(2, moment), strict=True)
    known = institutions.ownership(
        frame(institutions.POSITIONS, *positions),
        frame(FILINGS, *covers),
        quarter=quarter,
        as_of=CLOSE,
        shares_outstanding=pl.DataFrame({"security_id": [1], "shares_outstanding": [100.0]}),
    )
    found = raws(read(ownership=known.with_columns(session=pl.lit(SESSION))))
    assert found["institutional_share"] == (0.6 if moment <= CLOSE else 0.3)
    assert found["institutional_holders"] == (2 if moment <= CLOSE else 1)


@pytest.mark.parametrize("moment", [CLOSE - MINUTE, CLOSE, CLOSE + MINUTE])
def test_a_rating_and_an_article_count_from_when_they_were_told(moment):
    rating = {
        "vendor": "benzinga", "security_id": 1, "action": "reiterates", "rating": "Buy", "currency": "USD",
        "version": 1,
    }  # fmt: skip
    rows = [
        rating | {"rating_id": firm, "analyst_firm": firm, "rating_numeric": stars, "rated_at": at, "known_at": at}
        for firm, stars, at in (("One", 2, CLOSE - timedelta(days=3)), ("Two", 5, moment))
    ]
    told = ratings.consensus(
        frame(ratings.RATINGS | {"version": pl.Int64}, *rows), known_at=CLOSE, session=SESSION
    ).rename({"last_rated_at": "known_at"})
    assert raws(read(consensus=told))["analyst_rating"] == (3.5 if moment <= CLOSE else 2.0)
    articles = [
        {"article_id": n, "security_id": 1, "source": "polygon", "score": score, "relevance": 1.0, "published_at": at,
         "scored_at": None}
        for n, score, at in ((1, -0.5, CLOSE - timedelta(days=3)), (2, 1.0, moment))
    ]  # fmt: skip
    scores = pl.DataFrame(articles, schema_overrides={"scored_at": compute.UTC})
    moods = news.sentiment(scores, known_at=CLOSE, day=SESSION, model="lexicon")
    moods = moods.rename({"day": "session"}).with_columns(known_at=pl.lit(CLOSE))
    assert raws(read(sentiment=moods))["news_sentiment_7d"] == (0.25 if moment <= CLOSE else -0.5)


# -- how old, how whole


@pytest.mark.parametrize(("age", "scores"), [(1, True), (5, True), (6, False)])
def test_the_newest_session_that_a_table_was_made_for_stands_for_five_days(age, scores):
    day = SESSION - timedelta(days=age)
    found = read(
        consensus=[consensus(day)], insiders=[activity(day)], sentiment=[mood(day)], valuations=[MARKET_VALUE]
    )[1]
    assert (set(found) == {name for name in EXPECTED if not name.startswith("institutional")}) is scores
    assert {key[-12:-2] for _, key in found.values()} == ({str(day)} if scores else set())


def test_a_share_that_the_newest_session_lacks_is_not_read_from_an_older_one():
    """No firm covers it any more, no article is younger than 30 days."""
    found = read(
        1, 2, consensus=[consensus(BEFORE, 2), consensus()], sentiment=[mood(BEFORE, 2), mood()],
        ownership=[owned(), owned(session=SESSION, security_id=3)],
    )  # fmt: skip
    assert len(found[1]) == 8
    assert found[2] == {}


@pytest.mark.parametrize("kind", ["split", "spin_off"])
def test_a_target_of_an_older_session_is_brought_to_the_price_basis_of_this_one(kind):
    splits = [
        {"security_id": 1, "ex_date": day, "numerator": 10.0, "denominator": 1.0, "kind": kind}
        for day in (BEFORE, SESSION, date(2024, 3, 5))  # in the target already, not yet in it, not yet traded
    ]
    found = read(consensus=[consensus(BEFORE, target_mean=600.0)], splits=splits)
    assert raws(found)["target_upside"] == pytest.approx(60 / 50 - 1)


def test_ratings_of_less_than_twelve_months_count_no_firms():
    year = date(2023, 3, 4)
    assert "analyst_firms" in raws(read(consensus=[consensus(ratings_from=year)]))
    assert raws(read(consensus=[consensus(ratings_from=year + timedelta(days=1))])).keys() == {
        "analyst_rating", "target_upside",
    }  # fmt: skip


def test_a_price_that_was_not_traded_is_compared_with_no_target():
    assert raws(read(share={"close": None}, consensus=[consensus()])).keys() == {"analyst_rating", "analyst_firms"}
    for impossible in (601.0, -1.0):  # twelve times the price; below nothing
        assert "target_upside" not in raws(read(consensus=[consensus(target_mean=impossible)]))


@pytest.mark.parametrize(
    ("filings_from", "windows"),
    [
        (SESSION - timedelta(days=89), {"insider_buying_30d", "insider_buyers", "insider_buying_90d"}),
        (SESSION - timedelta(days=88), {"insider_buying_30d", "insider_buyers"}),
        (SESSION - timedelta(days=29), {"insider_buying_30d", "insider_buyers"}),
        (SESSION - timedelta(days=28), set()),
        (None, set()),  # single documents only
    ],
)
def test_a_part_of_a_window_is_no_evidence_of_no_trades(filings_from, windows):
    """Neither for a share with trades nor for one without; where the window is whole, no trade is 0."""
    values = [MARKET_VALUE, MARKET_VALUE | {"security_id": 2}]
    found = read(1, 2, insiders=[activity(filings_from=filings_from)], valuations=values)
    assert set(found[1]) == set(found[2]) == windows
    assert set(raws(found, 2).values()) <= {0.0}
    assert {key for _, key in found[2].values()} == (
        {f'["insider_trades",2,"{filings_from}","2024-03-04"]'} if windows else set()
    )


def test_no_trade_says_nothing_of_a_share_whose_insiders_do_not_file():
    values = [MARKET_VALUE, MARKET_VALUE | {"security_id": 2}]
    found = read(1, 2, share={"files_form_4": False}, insiders=[activity()], valuations=values)
    assert len(found[1]) == 3
    assert found[2] == {}
    assert read(1, 2, valuations=values) == {1: {}, 2: {}}  # a table that was never made


def test_net_buying_without_every_price_or_a_market_value_is_undefined():
    assert raws(read(insiders=[activity()])).keys() == {"insider_buyers"}
    unpriced = activity(unpriced_90d=1)
    assert raws(read(insiders=[unpriced], valuations=[MARKET_VALUE])).keys() == {
        "insider_buying_30d", "insider_buyers",
    }  # fmt: skip


def test_one_buyer_is_no_cluster():
    counts = [raws(read(insiders=[activity(buyers_30d=n)]))["insider_buyers"] for n in range(4)]
    assert counts == [0, 0, 2, 3]


@pytest.mark.parametrize(
    ("session", "quarter"),
    [
        (date(2024, 2, 16), date(2023, 9, 30)),  # 47 days after the quarter: of it only the early filers are known
        (date(2024, 2, 20), date(2023, 12, 31)),  # due on Wednesday 2024-02-14
        (date(2024, 5, 17), date(2023, 12, 31)),
        (date(2024, 5, 29), date(2023, 12, 31)),  # 150 days: the next quarter was not loaded
        (date(2024, 5, 30), None),
    ],
)
def test_the_newest_quarter_whose_reports_are_due_counts(session, quarter):
    close = datetime(session.year, session.month, session.day, 21, tzinfo=UTC)
    known = {"known_at": datetime(2023, 11, 1, tzinfo=UTC)}
    rows = [
        owned(session=date(2023, 11, 13), quarter=date(2023, 9, 30), share_owned=0.3, **known),
        owned(session=date(2023, 11, 14), quarter=date(2023, 9, 30), share_owned=0.4, **known),  # one filed late
        owned(session=date(2024, 1, 12), quarter=date(2023, 12, 31), share_owned=0.1, **known),
    ]
    found = read(session=session, close=close, ownership=rows)[1]
    expected = {None: None, date(2023, 9, 30): 0.4, date(2023, 12, 31): 0.1}[quarter]
    assert found.get("institutional_share", (None,))[0] == expected
    assert quarter is None or str(quarter) in found["institutional_share"][1]


@pytest.mark.parametrize(
    ("filers", "before", "quarter"),
    [
        ({"2023-12-31": 3000, "2023-09-30": 6000}, 64, "2023-12-31"),
        ({"2023-12-31": 2999, "2023-09-30": 6000}, 58, "2023-09-30"),  # 150 days on 2024-02-27
        ({"2023-12-31": 3, "2023-09-30": 6000}, 64, None),  # the last quarter that is loaded is too old
        ({"2023-12-31": 3}, 64, "2023-12-31"),  # nothing else is loaded
        ({"2023-12-31": 3, "2023-06-30": 6000}, 64, "2023-12-31"),  # 248 days: years without reports say nothing
    ],
)
def test_a_quarter_that_few_filed_is_not_the_newest(filers, before, quarter):
    """Some give a quarter that has not ended; the data set with everybody's comes a month after they are due."""
    session = date(2023, 12, 31) + timedelta(days=before)
    close = datetime(session.year, session.month, session.day, 21, tzinfo=UTC)
    rows = [
        owned(session=date(2024, 1, 12), quarter=date.fromisoformat(day), filers=count,
              known_at=datetime(2023, 11, 1, tzinfo=UTC))
        for day, count in filers.items()
    ]  # fmt: skip
    found = read(session=session, close=close, ownership=rows)[1]
    assert json.loads(found["institutional_share"][1])[3] == quarter if quarter else not found


def test_a_change_from_nothing_is_undefined():
    assert "institutional_change" not in raws(read(ownership=[owned(shares_before=0.0)]))
    none = {"compared_shares": None, "shares_before": None}  # nobody reported both quarters
    assert raws(read(ownership=[owned(**none)])).keys() == {"institutional_share", "institutional_holders"}
    assert raws(read(ownership=[owned(compared_shares=0.0)]))["institutional_change"] == -1
    assert "institutional_share" not in raws(read(ownership=[owned(share_owned=1.6)]))  # a split that was missed


def test_news_of_seven_days_may_be_missing_where_that_of_thirty_is_there():
    assert raws(read(sentiment=[mood(sentiment_7d=None)])) == {"news_sentiment_30d": -0.2}


def test_sessions_at_once_with_rows_in_any_order_are_the_sessions_one_by_one():
    days = [date(2024, 2, 29), BEFORE, SESSION]
    closes = {day: datetime(day.year, day.month, day.day, 21, tzinfo=UTC) for day in days}
    shares = (1, 2, 3)
    known_at = {"known_at": closes[days[0]] - timedelta(days=3)}
    rows = {
        "consensus": [consensus(day, id_, firms=id_, **known_at) for day in days[:2] for id_ in shares],
        "insiders": [activity(day, id_, **known_at) for day in days[1:] for id_ in shares[:2]],
        "sentiment": [mood(day, id_, sentiment_7d=id_ / 9, known_at=closes[day]) for day in days for id_ in shares],
        "ownership": [owned(day, id_, holders=day.day, **known_at) for day in days for id_ in shares],
        "valuations": [MARKET_VALUE | {"security_id": id_, "session": day} for day in days for id_ in shares],
    }
    universe = frame(
        compute.UNIVERSE,
        *({"security_id": id_, "session": day, "cik": id_, "close": 50.0, "files_form_4": True, "sector_assumed": False}
          for day in days for id_ in shares),
    )  # fmt: skip

    def scored(seed: int, *sessions: date) -> list[pl.DataFrame]:
        listed = universe.filter(pl.col("session").is_in(sessions)).sample(fraction=1.0, shuffle=True, seed=seed)
        frames = {
            name: frame(schema, *rows.get(name, ())).sample(fraction=1.0, shuffle=True, seed=seed)
            for name, schema in SCHEMAS.items()
        }
        wanted = {day: closes[day] for day in sessions}
        return list(compute.scores(listed, compute.metrics_from(listed, **frames, closes=wanted), wanted))

    alone = [scored(seed, day) for seed, day in enumerate(days)]
    for seed in range(5):
        for at, together in enumerate(scored(seed, *days)):
            assert together.equals(pl.concat([one[at] for one in alone]))
    assert [one[1]["inputs"].str.contains("insider_buyers").all() for one in alone] == [False, True, True]
