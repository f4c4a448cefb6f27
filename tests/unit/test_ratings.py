"""Benzinga's ratings: the published shape to rows, firms' words to one scale, and a day's consensus."""

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest

from closingbell.ratings.compute import CONSENSUS, RATINGS, consensus
from closingbell.ratings.parse import SCHEMA, parse_ratings, parse_removed, rating_word, rating_words

# the shape of Benzinga's published example (values invented)
PUBLISHED = {
    "id": "65770e51f754e50001dfb907",
    "date": "2023-12-11",
    "time": "08:27:45",
    "ticker": "AVGO",
    "exchange": "NASDAQ",
    "name": "Broadcom",
    "action_pt": "Raises",
    "action_company": "Maintains",
    "rating_current": "Buy",
    "rating_prior": "Buy",
    "pt_current": "1,100.0000",
    "pt_prior": "950.0000",
    "adjusted_pt_current": "110.00",
    "adjusted_pt_prior": "95.00",
    "analyst": "Citigroup",
    "analyst_id": "58073fb5846faa000106abff",
    "analyst_name": "Christopher Danely",
    "currency": "USD",
    "importance": 0,
    "notes": "",
    "ratings_accuracy": {"smart_score": "78.88"},
    "updated": 1702301347,
    "url": "https://www.benzinga.com/quote/AVGO/analyst-ratings",
    "url_calendar": "https://www.benzinga.com/quote/AVGO/analyst-ratings",
    "url_news": "https://www.benzinga.com/quote/AVGO",
}


def page(*changes: dict) -> bytes:
    return json.dumps({"ratings": [{**PUBLISHED, **change} for change in changes]}).encode()


def parsed_row(**change):
    row = parse_ratings(page(change)).row(0, named=True)
    assert row["refused"] is None
    return row


def test_the_published_rating_becomes_a_row():
    row = parsed_row()
    assert row == {
        "vendor": "benzinga",
        "rating_id": "65770e51f754e50001dfb907",
        "ticker": "AVGO",
        "analyst_firm": "Citigroup",
        "analyst_name": "Christopher Danely",
        "action": "maintains",
        "target_action": "raises",
        "rating": "Buy",
        "rating_before": "Buy",
        "rating_numeric": 4,
        "price_target": 1100.0,  # as published: the adjusted one changes with every later split
        "price_target_before": 950.0,
        "currency": "USD",
        "rated_at": datetime(2023, 12, 11, 13, 27, 45, tzinfo=UTC),  # New York is UTC-5 in December
        "rated_at_source": "time",
        "known_at": datetime(2023, 12, 11, 13, 29, 7, tzinfo=UTC),
        "updated_at": datetime(2023, 12, 11, 13, 29, 7, tzinfo=UTC),
        "url": "https://www.benzinga.com/quote/AVGO",
        "refused": None,
    }


def test_summer_time_and_a_rating_without_a_time():
    assert parsed_row(date="2023-07-03")["rated_at"] == datetime(2023, 7, 3, 12, 27, 45, tzinfo=UTC)
    for clock in ("", "00:00:00"):
        row = parsed_row(time=clock, date="2023-07-03")
        assert row["rated_at"] == datetime(2023, 7, 4, 2, tzinfo=UTC)  # 22:00 New York
        assert row["rated_at_source"] == "date_22"


def test_xml_gives_the_rows_that_json_gives():
    fields = "".join(
        f"<{name}>{'' if isinstance(value, dict) else value}</{name}>" for name, value in PUBLISHED.items()
    )
    item = f"<item>{fields}</item>"
    xml = f'<?xml version="1.0"?><result is_array="true"><ratings is_array="true">{item}</ratings></result>'
    assert parse_ratings(xml.encode()).equals(parse_ratings(page({})))


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("Strong Buy", 5),
        ("Top Pick", 5),
        ("Buy", 4),
        ("OUTPERFORM", 4),
        ("Overweight", 4),
        ("Equal-Weight", 3),
        ("  equal   weight ", 3),
        ("In-Line", 3),
        ("Sector Perform", 3),
        ("Peer_Perform", 3),
        ("Underweight", 2),
        ("Reduce", 2),
        ("Strong Sell", 1),
        ("", None),
        ("Not Rated", None),
    ],
)
def test_words_of_firms_on_one_scale(word, number):
    assert parsed_row(rating_current=word)["rating_numeric"] == number


def test_an_unknown_word_is_a_problem_and_never_guessed():
    refused, good = parse_ratings(page({"rating_current": "Buyish"}, {"id": "2"})).iter_rows(named=True)
    assert good["refused"] is None
    assert refused["rating_numeric"] is None
    assert refused["rating"] == "Buyish"
    assert refused["refused"].startswith("unknown_word: column rating_current: Citigroup rates 'Buyish'")


def test_every_word_of_the_table_is_in_its_normal_form():
    words = rating_words()
    assert {rating_word(word) for word in words} == set(words)
    assert set(words.values()) == {5, 4, 3, 2, 1, None}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"date": "2023-02-30"}, "no_such_time"),
        ({"date": "2023-03-12", "time": "02:30:00"}, "no_such_time"),  # the clocks went forward at 02:00
        ({"pt_current": "NaN"}, "not_a_number"),
        ({"pt_prior": "-3"}, "not_a_number"),
        ({"action_company": "Whispers"}, "unknown_action"),
        ({"updated": "yesterday"}, "no_such_time"),
    ],
)
def test_what_cannot_be_read_is_named_in_its_row(change, reason):
    assert parse_ratings(page(change))["refused"][0].startswith(f"{reason}: ")


@pytest.mark.parametrize(("name", "column"), [("id", "rating_id"), ("ticker", "ticker"), ("analyst", "analyst_firm")])
def test_what_every_rating_must_have_is_null_where_it_lacks(name, column):
    for value in ("", None):
        assert parse_ratings(page({name: value}))[column].to_list() == [None]


def test_a_corrected_rating_is_known_from_its_correction():
    def known(**change):
        return parsed_row(**change)["known_at"]

    posted = datetime(2023, 12, 11, 13, 29, 7, tzinfo=UTC)
    given = datetime(2023, 12, 11, 13, 27, 45, tzinfo=UTC)
    assert known() == posted
    assert known(updated=int(posted.timestamp()) + 7 * 86400) == datetime(2023, 12, 18, 13, 29, 7, tzinfo=UTC)
    assert known(updated=int(given.timestamp()) - 60) == given  # announced ahead
    assert known(time="") == posted  # posted before 22:00 of its day: known then
    assert known(time="", updated=int(posted.timestamp()) - 86400) == datetime(2023, 12, 12, 3, tzinfo=UTC)


def test_removed_ratings():
    removed = [{"id": "a", "type": "ratings", "updated": 1702301347}, {"id": "b", "type": "splits", "updated": 0}]
    seen_at = datetime(2024, 1, 2, tzinfo=UTC)
    found = parse_removed(json.dumps({"removed": removed}).encode(), seen_at=seen_at)
    assert found.rows() == [("a", datetime(2023, 12, 11, 13, 29, 7, tzinfo=UTC))]
    undated = {"removed": [{"id": "c", "type": "ratings", "updated": 0}]}  # as in the published example
    assert parse_removed(json.dumps(undated).encode(), seen_at=seen_at).rows() == [("c", seen_at)]
    assert parse_removed(b"[]", seen_at=seen_at).is_empty()
    with pytest.raises(ValueError, match="benzinga calendar_removed: column updated is missing"):
        parse_removed(b'{"removed": [{"id": "a", "type": "ratings"}]}', seen_at=seen_at)
    with pytest.raises(ValueError, match="column removed is missing"):
        parse_removed(b'{"ratings": []}', seen_at=seen_at)


def test_a_target_that_was_not_given_is_null_never_zero():
    assert parsed_row(pt_current="", pt_prior="0.00")["price_target"] is None
    assert parsed_row(pt_prior="0.0000")["price_target_before"] is None


def test_currencies_are_codes_and_pence_are_no_pounds():
    codes = {"": "USD", "cad": "CAD", "GBP": "GBP", "GBp": "GBX"}
    assert {given: parsed_row(currency=given)["currency"] for given in codes} == codes


def test_columns_that_are_missing_or_unknown_are_named():
    short = {name: value for name, value in PUBLISHED.items() if name != "rating_current"}
    with pytest.raises(ValueError, match=r"benzinga calendar_ratings: column rating_current is missing"):
        parse_ratings(json.dumps({"ratings": [short]}).encode())
    with pytest.raises(ValueError, match="column rating_in_stars is unknown"):
        parse_ratings(page({"rating_in_stars": "5"}))
    with pytest.raises(ValueError, match="neither JSON nor XML"):
        parse_ratings(b'{"ratings": [{"id"')
    with pytest.raises(ValueError, match="column ratings is missing"):
        parse_ratings(b'{"ok": false, "errors": []}')


def test_an_empty_page():
    for body in (b"[]", b'{"ratings": []}', b"<result><ratings/></result>"):
        answer = parse_ratings(body)
        assert answer.schema == pl.Schema(SCHEMA)
        assert answer.is_empty()


# --- consensus ---------------------------------------------------------------------------------------------------

CLOSE = datetime(2024, 6, 28, 20, tzinfo=UTC)


def rating(firm, at, number=4, target=None, *, action="maintains", word="x", currency="USD", security=1, **more):
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    row = dict.fromkeys(RATINGS)
    row.update(
        vendor="benzinga",
        rating_id=f"{firm}{at}{security}",
        ticker="T",
        analyst_firm=firm,
        action=action,
        rating=word,
        rating_numeric=number,
        price_target=target,
        currency=currency,
        rated_at=moment,
        updated_at=moment,
        known_at=moment,
        version=0,
    )
    return {**row, "security_id": security, **more}


def frame(*rows):
    return pl.DataFrame(list(rows), schema={**RATINGS, "version": pl.Int64})


def known(*rows, at=CLOSE, **more):
    return consensus(frame(*rows), known_at=at, session=date(2024, 6, 28), **more)


def test_each_firm_counts_once_with_its_latest_rating():
    row = known(
        rating("A", "2024-01-05", 2, 80.0),
        rating("A", "2024-05-05", 5, 130.0),
        rating("B", "2024-02-01", 4, 110.0),
        rating("C", "2024-03-01", 3, 90.0),
    ).row(0, named=True)
    assert row["firms"] == 3
    assert row["rating_mean"] == 4.0  # (5 + 4 + 3) / 3
    assert row["rating_dispersion"] == 1.0  # sample deviation of 5, 4, 3
    assert (row["strong_buys"], row["buys"], row["holds"], row["sells"], row["strong_sells"]) == (1, 1, 1, 0, 0)
    assert (row["targets"], row["target_mean"], row["target_median"]) == (3, 110.0, 110.0)
    assert (row["target_low"], row["target_high"]) == (90.0, 130.0)
    assert row["last_rated_at"] == datetime(2024, 5, 5, tzinfo=UTC)


def test_a_firm_is_one_however_its_name_is_spelled():
    names = (("JP Morgan", 2), ("J.P. Morgan", 3), ("KeyBanc", 4), ("Keybanc", 5), ("JPMorgan", 5))
    rows = [rating(name, f"2024-05-0{day}", number) for day, (name, number) in enumerate(names, 1)]
    assert known(*rows).select("firms", "rating_mean").row(0) == (2, 5.0)


def test_of_a_firms_two_ratings_on_one_day_the_later_counts_and_of_one_moment_the_later_entry():
    morning, noon = rating("A", "2024-05-05 12:00", 2), rating("A", "2024-05-05 16:00", 5)
    assert known(noon, morning)["rating_mean"].to_list() == [5.0]
    first, second = ({**morning, "rating_id": id_, "rating_numeric": n} for id_, n in (("65a0", 4), ("65a1", 1)))
    assert known(second, first)["rating_mean"].to_list() == [1.0]  # ids begin with the second they were made in


def test_a_rating_after_the_moment_is_not_known_and_one_older_than_twelve_months_has_lapsed():
    old = rating("A", "2023-06-28 19:59:00", 5)
    late = rating("B", "2024-06-28 20:00:01", 5)
    row = known(old, late, rating("C", "2024-01-01", 2)).row(0, named=True)
    assert (row["firms"], row["rating_mean"], row["rating_dispersion"]) == (1, 2.0, None)
    assert known(old, late).height == 0
    assert known(old, late, at=datetime(2024, 6, 28, 20, 0, 1, tzinfo=UTC)).height == 1


def test_a_target_only_row_leaves_the_rating_standing():
    row = known(rating("A", "2024-01-05", 4, 100.0), rating("A", "2024-04-05", None, 120.0, word=None)).row(
        0, named=True
    )
    assert (row["firms"], row["rating_mean"], row["target_mean"]) == (1, 4.0, 120.0)


@pytest.mark.parametrize("action", ["terminates", "suspends", "removes", "firm_dissolved"])
def test_ended_coverage_drops_the_firm(action):
    ended = rating("A", "2024-04-05", None, action=action, word=None)
    assert known(rating("A", "2024-01-05", 4, 100.0), ended).height == 0
    again = rating("A", "2024-05-05", 3, action="initiates")
    assert known(rating("A", "2024-01-05", 4, 100.0), ended, again)["rating_mean"].to_list() == [3.0]
    assert known(rating("A", "2024-01-05", 4, 100.0), ended, again)["targets"].to_list() == [0]


def test_a_firm_that_says_it_has_no_opinion_no_longer_counts():
    assert known(rating("A", "2024-01-05", 4), rating("A", "2024-04-05", None, word="Not Rated")).height == 0


def test_a_removed_target_no_longer_counts():
    row = known(rating("A", "2024-01-05", 4, 100.0), rating("A", "2024-04-05", 4, None, target_action="removes")).row(
        0, named=True
    )
    assert (row["firms"], row["targets"], row["target_mean"]) == (1, 0, None)


def test_targets_in_another_currency_than_the_price_do_not_mix():
    rows = (rating("A", "2024-01-05", 4, 100.0), rating("B", "2024-01-05", 4, 140.0, currency="CAD"))
    row = known(*rows).row(0, named=True)
    assert (row["firms"], row["targets"], row["target_mean"], row["target_currency"]) == (2, 1, 100.0, "USD")
    canadian = pl.DataFrame({"security_id": [1], "currency": ["CAD"]})
    row = known(*rows, currencies=canadian).row(0, named=True)
    assert (row["targets"], row["target_mean"], row["target_currency"]) == (1, 140.0, "CAD")


def test_a_target_from_before_a_split_is_on_the_shares_of_the_day():
    # NVDA split 10 for 1 on 2024-06-10: a target of 1,200 of May is 120 a share after it
    splits = pl.DataFrame(
        {
            "security_id": [1, 1],
            "ex_date": [date(2024, 6, 10), date(2024, 7, 1)],
            "numerator": [10.0, 2.0],
            "denominator": [1.0, 1.0],
        }
    )
    row = known(
        rating("A", "2024-05-23 12:00", 4, 1200.0), rating("B", "2024-06-11 12:00", 4, 130.0), splits=splits
    ).row(0, named=True)
    assert row["target_mean"] == 125.0
    assert row["target_median"] == 125.0


def test_rows_without_a_security_are_left_out_and_securities_stay_apart():
    got = known(
        rating("A", "2024-01-05", 5, security=None),
        rating("A", "2024-01-05", 4),
        rating("A", "2024-01-05", 2, security=2),
    )
    assert got.select("security_id", "rating_mean").rows() == [(1, 4.0), (2, 2.0)]
    assert got.schema == pl.Schema(CONSENSUS)


def test_of_a_corrected_rating_each_moment_knows_the_version_of_then():
    first = rating("A", "2024-01-05", 2, 80.0)
    put_right = {**first, "rating_numeric": 5, "known_at": datetime(2024, 3, 1, tzinfo=UTC), "version": 9}
    for at, mean in ((datetime(2024, 2, 29, tzinfo=UTC), 2.0), (CLOSE, 5.0)):
        row = known(put_right, first, at=at).row(0, named=True)
        assert (row["firms"], row["rating_mean"]) == (1, mean)


def test_a_removed_rating_counts_until_its_removal():
    was = rating("A", "2024-01-05", 2)
    removed = {**was, "removed_at": datetime(2024, 3, 1, tzinfo=UTC), "version": 9}
    assert known(was, removed, at=datetime(2024, 2, 29, tzinfo=UTC))["firms"].to_list() == [1]
    assert known(was, removed).is_empty()


def test_a_session_says_from_when_ratings_are_loaded():
    asked = pl.DataFrame({"security_id": [1, 2], "asked_from": [date(2024, 3, 1), date(2020, 1, 1)]})
    rows = known(*(rating("A", "2024-04-05", security=number) for number in (1, 2, 3)), asked_from=asked)
    assert rows["ratings_from"].to_list() == [date(2024, 3, 1), date(2023, 6, 28), date(2023, 6, 28)]
