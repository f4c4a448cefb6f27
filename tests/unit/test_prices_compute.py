"""Tickers to securities, splits as fractions, wrong and repeated splits, unseen splits."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closingbell.prices import compute, parse
from closingbell.sessions import sessions_between

META, ROUNDHILL, EVERSOURCE, OLD_ES = 1326801001, 2, 3, 4
HISTORY = pl.DataFrame(
    [
        ("FB", date(2012, 5, 18), date(2022, 6, 8), META),
        ("META", date(2022, 6, 9), None, META),
        ("META", date(2021, 6, 30), date(2022, 1, 31), ROUNDHILL),
        ("ES", date(1999, 3, 1), date(2008, 6, 30), OLD_ES),
        ("ES", date(2015, 2, 19), None, EVERSOURCE),
    ],
    schema={"ticker": pl.String, "valid_from": pl.Date, "valid_to": pl.Date, "security_id": pl.Int64},
    orient="row",
)
NO_SPLITS = pl.DataFrame(
    schema={"security_id": pl.Int64, "ex_date": pl.Date, "numerator": pl.Float64, "denominator": pl.Float64}
)


def bars(*rows: tuple[str, date, float]) -> pl.DataFrame:
    made = [
        {"ticker": t, "session": d, "open": c, "high": c, "low": c, "close": c, "volume": 1e6, "source": "polygon"}
        for t, d, c in rows
    ]
    return pl.DataFrame(made, schema=parse.BARS)


def closes(security_id: int, rows: dict[date, float], adjusted_as_of: date | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "security_id": [security_id] * len(rows), "session": list(rows), "close": list(rows.values()),
            "adjusted_as_of": [adjusted_as_of] * len(rows),
        },
        schema={"security_id": pl.Int64, "session": pl.Date, "close": pl.Float64, "adjusted_as_of": pl.Date},
    )  # fmt: skip


def split(ticker: str, ex_date: date, numerator: float, denominator: float = 1) -> dict:
    row = {"ticker": ticker, "ex_date": ex_date, "kind": "split", "numerator": numerator, "denominator": denominator}
    return {**row, "source": "polygon"}


def dividend(ticker: str, ex_date: date, amount: float, **more) -> dict:
    row = {"ticker": ticker, "ex_date": ex_date, "kind": "dividend", "amount": amount, "currency": "USD"}
    return {**row, "source": "polygon", **more}


def actions(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=parse.ACTIONS)


def test_fb_and_meta_are_one_security_and_the_fund_called_meta_another():
    rows = compute.stock_prices(
        bars(
            ("FB", date(2022, 6, 8), 196.64), ("META", date(2022, 6, 9), 184.0), ("META", date(2022, 1, 3), 15.0),
            ("META", date(2022, 3, 1), 1.0),
        ),
        HISTORY,
        final=True,
    )  # fmt: skip
    assert rows.rows.sort("session").select("security_id", "session").rows() == [
        (ROUNDHILL, date(2022, 1, 3)),
        (META, date(2022, 6, 8)),
        (META, date(2022, 6, 9)),
    ]
    # nobody was META in March 2022
    assert rows.unmapped["session"].to_list() == [date(2022, 3, 1)]


def test_es_is_not_the_company_that_was_es_before():
    """polygon-io/issues#110: ES returned another company's prices."""
    mapped = compute.stock_prices(
        bars(("ES", date(2005, 1, 3), 9.0), ("ES", date(2020, 1, 2), 85.0)), HISTORY, final=True
    )
    assert mapped.rows.sort("session")["security_id"].to_list() == [OLD_ES, EVERSOURCE]


def test_garbage_tickers_are_left_apart_and_counted():
    """polygon-io/issues#138: grouped bars contain tickers that no security ever bore."""
    mapped = compute.stock_prices(
        bars(("ZVZZT", date(2022, 6, 9), 0.01), ("META", date(2022, 6, 9), 184.0)), HISTORY, final=False
    )
    assert mapped.unmapped["ticker"].to_list() == ["ZVZZT"]
    assert mapped.rows["final"].to_list() == [False]
    assert mapped.rows.schema == compute.STOCK_PRICES


def test_two_different_bars_of_one_security_and_session_are_a_problem():
    both = pl.concat([bars(("META", date(2022, 6, 9), 184.0)), bars(("META", date(2022, 6, 9), 185.0))])
    mapped = compute.stock_prices(both, HISTORY, final=True)
    assert mapped.rows["close"].to_list() == [184.0, 185.0]  # nobody can decide: the audit takes both
    assert set(mapped.problems["problem"]) == {"two_bars"}
    same = pl.concat([bars(("META", date(2022, 6, 9), 184.0))] * 2)
    assert compute.stock_prices(same, HISTORY, final=True).problems.is_empty()


def test_a_bar_of_a_day_without_a_session_is_a_problem_and_no_row():
    """2022-06-20 was a holiday (Juneteenth), a Monday; the calendar does not reach back to 1984."""
    days = [date(2022, 6, 17), date(2022, 6, 20), date(2022, 6, 21)]
    mapped = compute.stock_prices(bars(*(("META", day, 184.0) for day in days)), HISTORY, final=True)
    assert mapped.rows["session"].to_list() == [days[0], days[2]]
    assert mapped.problems["key"].to_list() == ["META 2022-06-20"]
    long_ago = pl.DataFrame({**HISTORY.row(0, named=True), "valid_from": [date(1984, 1, 1)]}, schema=HISTORY.schema)
    assert compute.stock_prices(bars(("FB", date(1984, 9, 7), 0.1)), long_ago, final=True).rows.height == 1


def test_an_empty_answer_maps_to_nothing():
    mapped = compute.stock_prices(bars(), HISTORY, final=True)
    assert mapped.rows.is_empty()
    assert mapped.rows.schema == compute.STOCK_PRICES


def test_a_split_keyed_by_todays_ticker_goes_to_the_security_that_bears_it_later():
    """polygon-io/issues#253: splits of a renamed company stand under its new ticker."""
    history = HISTORY.filter(pl.col("security_id") == META)
    mapped = compute.corporate_actions(actions(split("META", date(2015, 6, 1), 2)), history)
    assert mapped.rows.select("security_id", "ex_date").rows() == [(META, date(2015, 6, 1))]
    nobody = compute.corporate_actions(actions(split("NOPE", date(2015, 6, 1), 2)), history)
    assert nobody.rows.is_empty()
    assert nobody.unmapped["ticker"].to_list() == ["NOPE"]


def test_duplicated_splits_count_once():
    """polygon-io/issues#324."""
    rows = [split("ES", date(2020, 6, 22), 10), split("ES", date(2020, 6, 22), 10), split("ES", date(2020, 6, 29), 10)]
    mapped = compute.corporate_actions(actions(*rows), HISTORY)
    assert mapped.rows["ex_date"].to_list() == [date(2020, 6, 29)]
    assert mapped.problems["problem"].to_list() == ["repeated_split", "repeated_split"]


def test_between_two_reports_of_one_split_the_prices_decide():
    """Without bars the later stands; here the shares traded split from the earlier."""
    rows = actions(split("ES", date(2020, 6, 22), 10), split("ES", date(2020, 6, 29), 10))
    seen = closes(
        EVERSOURCE,
        {date(2020, 6, 19): 850.0, date(2020, 6, 22): 86.0, date(2020, 6, 26): 84.0, date(2020, 6, 29): 85.0},
    )
    mapped = compute.corporate_actions(rows, HISTORY, bars=seen)
    assert mapped.rows["ex_date"].to_list() == [date(2020, 6, 22)]
    assert mapped.problems["problem"].to_list() == ["wrong_split"]


def test_a_split_that_the_prices_contradict_is_left_out():
    rows = actions(split("ES", date(2020, 6, 22), 4))
    seen = closes(EVERSOURCE, {date(2020, 6, 19): 85.0, date(2020, 6, 22): 86.0})
    mapped = compute.corporate_actions(rows, HISTORY, bars=seen)
    assert mapped.rows.is_empty()
    assert mapped.problems["problem"].to_list() == ["wrong_split"]
    # bars adjusted by the vendor show no jump, which is no evidence
    adjusted = closes(EVERSOURCE, {date(2020, 6, 19): 85.0, date(2020, 6, 22): 86.0}, date(2020, 7, 1))
    assert compute.corporate_actions(rows, HISTORY, bars=adjusted).rows.height == 1


def test_a_small_stock_dividend_is_believed_whatever_the_day_did():
    rows = actions(split("ES", date(2020, 6, 22), 21, 20))
    seen = closes(EVERSOURCE, {date(2020, 6, 19): 85.0, date(2020, 6, 22): 86.0})
    assert compute.corporate_actions(rows, HISTORY, bars=seen).rows.height == 1


@pytest.mark.parametrize(
    ("ticker", "told", "kind"),
    [
        # Yahoo's and Polygon's figures
        ("GE, Vernova", (1253, 1000), "spin_off"), ("GE, HealthCare", (1281, 1000), "spin_off"),
        ("MMM, Solventum", (1196, 1000), "spin_off"), ("T, WarnerMedia", (1324, 1000), "spin_off"),
        ("IBM, Kyndryl", (1046, 1000), "spin_off"), ("EBAY, PayPal", (2376, 1000), "spin_off"),
        ("ABT, AbbVie", (10000, 4798), "spin_off"), ("HON, Solstice", (1061, 1000), "spin_off"),
        ("AAPL", (7, 1), "split"), ("NVDA", (10, 1), "split"), ("WMT", (3, 1), "split"), ("TSLA", (3, 1), "split"),
        ("a reverse split", (1, 30), "split"), ("3 for 2", (3, 2), "split"), ("5 for 4", (5, 4), "split"),
        ("Tootsie Roll's stock dividend", (103, 100), "split"), ("written 1.05", (1.05, 1), "split"),
        ("half a per cent", (1025, 1000), "split"), ("GOOG's class C", (2002, 1000), "split"),
        ("GOOGL's class C", (1998, 1000), "split"), ("LEN.B to LEN", (102, 100), "split"),
        ("DD, a reverse split and a spin-off in one", (4725, 10000), "split"),
    ],
)  # fmt: skip
def test_a_vendors_split_at_a_spin_offs_price_is_no_split_of_shares(ticker, told, kind):
    found = compute.corporate_actions(actions(split("ES", date(2020, 6, 22), *told)), HISTORY).rows
    assert found.select("kind", "numerator", "denominator").rows() == [(kind, *map(float, told))]


def test_two_different_splits_on_one_day_need_prices():
    rows = actions(split("ES", date(2020, 6, 22), 4), split("ES", date(2020, 6, 22), 1, 4))
    blind = compute.corporate_actions(rows, HISTORY)
    assert blind.rows.is_empty()
    assert blind.problems["problem"].to_list() == ["conflicting_splits"]
    seen = closes(EVERSOURCE, {date(2020, 6, 19): 85.0, date(2020, 6, 22): 21.0})
    kept = compute.corporate_actions(rows, HISTORY, bars=seen).rows
    assert kept.select("numerator", "denominator").rows() == [(4.0, 1.0)]


def test_ratios_that_are_none_are_left_out():
    rows = actions(
        split("ES", date(2020, 6, 22), 0), split("ES", date(2020, 7, 22), 1), split("ES", date(2020, 8, 24), -2)
    )
    mapped = compute.corporate_actions(rows, HISTORY)
    assert mapped.rows.is_empty()
    assert mapped.problems["problem"].to_list() == ["split_ratio"] * 3


def test_an_action_is_known_at_its_declaration_else_at_the_close_before():
    rows = actions(
        dividend("ES", date(2024, 3, 4), 0.7, declared_on=date(2024, 2, 1)),
        dividend("ES", date(2024, 6, 3), 0.7),  # a Monday
        dividend("ES", date(2024, 12, 2), 0.7, declared_on=date(2025, 1, 1)),  # declared after: no evidence
        split("ES", date(2024, 7, 8), 2),
    )
    known = dict(compute.corporate_actions(rows, HISTORY).rows.select("ex_date", "known_at").rows())
    assert known[date(2024, 3, 4)] == datetime(2024, 2, 1, 21, tzinfo=UTC)  # 16:00 New York
    assert known[date(2024, 6, 3)] == datetime(2024, 5, 31, 20, tzinfo=UTC)
    assert known[date(2024, 12, 2)] == datetime(2024, 11, 29, 18, tzinfo=UTC)  # the 13:00 close after Thanksgiving
    assert known[date(2024, 7, 8)] == datetime(2024, 7, 5, 20, tzinfo=UTC)


def test_a_regular_and_a_special_dividend_of_one_day_add_up():
    day = date(2024, 3, 4)
    rows = actions(
        dividend("ES", day, 0.7, dividend_type="CD"),
        dividend("ES", day, 5.0, dividend_type="SC"),
        dividend("ES", day, 0.7, dividend_type="CD"),  # the same one again
    )
    assert compute.corporate_actions(rows, HISTORY).rows["amount"].to_list() == [5.7]
    mixed = actions(dividend("ES", day, 0.7), dividend("ES", day, 0.9, currency="CAD"))
    refused = compute.corporate_actions(mixed, HISTORY)
    assert refused.rows.is_empty()
    assert refused.problems["problem"].to_list() == ["two_currencies"]


def test_each_action_names_the_answer_that_it_came_from_and_a_later_answer_corrects_an_earlier_one():
    first, second = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC)
    said = [
        (dividend("ES", date(2024, 3, 4), 0.7, dividend_type="CD"), 1, first, "page of March 1st"),
        (dividend("META", date(2024, 3, 4), 0.5), 2, first, "page of March 1st"),
        (split("META", date(2024, 5, 6), 2), 3, first, "splits of March 1st"),
        (dividend("ES", date(2024, 3, 4), 0.8, dividend_type="CD"), 4, second, "page of March 2nd"),
        (dividend("ES", date(2024, 3, 4), 5.0, dividend_type="SC"), 5, second, "page of March 2nd"),
        (split("META", date(2024, 5, 6), 2), 6, second, "splits of March 2nd"),
    ]
    rows = pl.DataFrame(
        [{**row, "landing_id": id_, "fetched_at": at, "question": q} for row, id_, at, q in said],
        schema=parse.ACTIONS | compute.EVIDENCE,
    )
    found = compute.corporate_actions(rows, HISTORY).rows
    assert sorted(found.select("landing_id", "kind", "amount", "fetched_at").rows()) == [
        (2, "dividend", 0.5, first),
        (5, "dividend", 5.8, second),
        (6, "split", None, second),
    ]


def test_amounts_that_are_none_are_problems_and_no_dividends():
    rows = actions(*(dividend("ES", date(2024, 3, 4), amount) for amount in (float("nan"), float("inf"), -1.0, None)))
    refused = compute.corporate_actions(rows, HISTORY)
    assert refused.rows.is_empty()
    assert set(refused.problems["problem"]) == {"dividend_amount"}


def stored(security_id: int, rows: dict[date, float], adjusted_as_of: date | None = None) -> pl.DataFrame:
    return closes(security_id, rows, adjusted_as_of)


@pytest.mark.parametrize("ratio", [0.5, 0.1, 3.0, 0.25, 1.5, 20.0])
def test_an_overlap_at_a_simple_ratio_names_an_unseen_split(ratio):
    days = sessions_between(date(2024, 3, 4), date(2024, 3, 8))
    before = stored(1, dict.fromkeys(days, 40.0))
    after = stored(1, dict.fromkeys(days, 40.0 * ratio))
    found = compute.check_overlap(after, before, NO_SPLITS)
    assert found["problem"].to_list() == ["unseen_split"]
    assert found["key"][0] == "security 1 from 2024-03-04"


def test_corrections_of_a_bar_are_no_split():
    days = sessions_between(date(2024, 3, 4), date(2024, 3, 8))
    found = compute.check_overlap(stored(1, dict.fromkeys(days, 40.2)), stored(1, dict.fromkeys(days, 40.0)), NO_SPLITS)
    assert found.is_empty()


def test_a_jump_at_the_seam_is_named_unless_a_split_explains_it():
    before = stored(1, {date(2024, 6, 7): 1208.88})
    after = stored(1, {date(2024, 6, 10): 121.79})  # NVDA, 10 for 1 on 2024-06-10
    assert compute.check_overlap(after, before, NO_SPLITS)["problem"].to_list() == ["possible_split"]
    known = pl.DataFrame(
        {"security_id": [1], "ex_date": [date(2024, 6, 10)], "numerator": [10.0], "denominator": [1.0]}
    )
    assert compute.check_overlap(after, before, known).is_empty()


# Adjustment


def frame(prices: list[float], days: list[date]) -> pl.DataFrame:
    columns = {name: prices for name in ("open", "high", "low", "close")}
    return pl.DataFrame(
        {"security_id": [1] * len(days), "session": days, **columns, "volume": [1e6] * len(days)}
    ).with_columns(pl.lit(None, dtype=pl.Date).alias("adjusted_as_of"))


SPLITS = pl.DataFrame(
    {
        "security_id": [1, 1],
        "ex_date": [date(2014, 6, 9), date(2020, 8, 31)],
        "numerator": [7.0, 4.0],
        "denominator": [1.0, 1.0],
    }
)


def test_apple_on_the_basis_of_each_day():
    """AAPL, 7:1 on 2014-06-09 and 4:1 on 2020-08-31: 645.57 of 2014-06-06 is 92.224 and then 23.056."""
    bars_ = frame([645.57, 93.70, 499.23], [date(2014, 6, 6), date(2014, 6, 9), date(2020, 8, 28)])
    as_traded = compute.adjusted(bars_, SPLITS, basis=date(2014, 6, 6))
    assert as_traded["close"][0] == 645.57
    assert compute.adjusted(bars_, SPLITS, basis=date(2014, 6, 9))["close"][0] == 645.57 / 7
    assert compute.adjusted(bars_, SPLITS, basis=date(2020, 8, 28))["close"][0] == 645.57 / 7
    last = compute.adjusted(bars_, SPLITS, basis=date(2020, 8, 31))
    assert last["close"].to_list() == [645.57 / 28, 93.70 / 4, 499.23 / 4]
    assert last["volume"].to_list() == [28e6, 4e6, 4e6]


def test_fractions_multiply_exactly():
    splits = pl.DataFrame(
        {
            "security_id": [1] * 3,
            "ex_date": [date(2020, 1, 2), date(2020, 2, 3), date(2020, 3, 2)],
            "numerator": [1.05, 3.0, 20.0],
            "denominator": [1.0, 2.0, 21.0],
        }
    )
    found = compute.split_fractions(splits)[1]
    assert compute.factor(found, date(2020, 1, 1), date(2020, 3, 2)) == Fraction(21, 20) * Fraction(3, 2) * Fraction(
        20, 21
    )
    assert compute.factor(found, date(2020, 1, 2), date(2020, 2, 3)) == Fraction(3, 2)


RATIOS = st.sampled_from([(2, 1), (3, 1), (3, 2), (7, 1), (10, 1), (1, 10), (1, 8), (21, 20), (1.05, 1)])
CALENDAR = sessions_between(date(2019, 1, 2), date(2019, 6, 28))


@settings(max_examples=60, deadline=None)
@given(
    splits=st.dictionaries(st.sampled_from(CALENDAR[1:]), RATIOS, max_size=4),
    seed=st.integers(0, 1000),
)
def test_adjusting_and_adjusting_back_is_the_identity(splits, seed):
    cents = np.random.default_rng(seed).integers(100, 900_000, len(CALENDAR))
    bars_ = frame([cent / 100 for cent in cents], CALENDAR)
    known = pl.DataFrame(
        [(1, day, float(n), float(m)) for day, (n, m) in splits.items()],
        schema={"security_id": pl.Int64, "ex_date": pl.Date, "numerator": pl.Float64, "denominator": pl.Float64},
        orient="row",
    )
    there = compute.adjusted(bars_, known, basis=CALENDAR[-1])
    inverse = known.with_columns(pl.col("denominator").alias("numerator"), pl.col("numerator").alias("denominator"))
    back = compute.adjusted(there, inverse, basis=CALENDAR[-1])
    assert back["close"].to_numpy() == pytest.approx(bars_["close"].to_numpy(), rel=1e-15)
    assert back["close"].round(2).equals(bars_["close"])
    assert compute.adjusted(bars_, known, basis=CALENDAR[0])["close"][0] == bars_["close"][0]
