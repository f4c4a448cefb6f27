"""The traps of company facts, each on a few hand-made facts, and the promise: nothing is known before its filing."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closingbell.fundamentals import compute, filings, parse
from closingbell.fundamentals.versions import PER_SHARE

NO_FILINGS = pl.DataFrame(schema=filings.SCHEMA)
REVENUE, NET, ASSETS = "RevenueFromContractWithCustomerExcludingAssessedTax", "NetIncomeLoss", "Assets"
OCF = "NetCashProvidedByUsedInOperatingActivities"
Q1, Q2, Q3, Q4 = (
    ("2020-01-01", "2020-03-31"),
    ("2020-04-01", "2020-06-30"),
    ("2020-07-01", "2020-09-30"),
    ("2020-10-01", "2020-12-31"),
)
H1, N9, FY = (("2020-01-01", end) for end in ("2020-06-30", "2020-09-30", "2020-12-31"))


def fact(concept, period, value, filed, *, form="10-Q", unit="USD", taxonomy="us-gaap", accession=None, cik=1):
    start, end = period if isinstance(period, tuple) else (None, period)
    return {
        "cik": cik,
        "taxonomy": taxonomy,
        "concept": concept,
        "unit": unit,
        "period_start": start and date.fromisoformat(start),
        "period_end": date.fromisoformat(end),
        "accession_no": accession or f"{cik}-{form}-{filed}",
        "value": float(value),
        "form": form,
        "filed_on": date.fromisoformat(filed),
    }


def statements(*facts, year_ends=None) -> pl.DataFrame:
    frame = pl.DataFrame(list(facts), schema=parse.SCHEMA)
    return compute.statements(parse.with_known_at(frame, NO_FILINGS), year_ends)


def known(rows, period_type, end, figure, on="2030-01-01"):
    moment = datetime.combine(date.fromisoformat(on), datetime.max.time(), UTC) + timedelta(hours=8)
    view = compute.as_of(rows, moment).filter(period_type=period_type, period_end=date.fromisoformat(end))
    return view[figure].item() if view.height else None


def year_of(concept, values=(10, 12, 14, 20), *, taxonomy="us-gaap", unit="USD"):
    """A year's filings: quarters and year-to-date in 10-Qs, the year alone in the 10-K."""
    a, b, c, d = values
    common = {"taxonomy": taxonomy, "unit": unit}
    return [
        fact(concept, Q1, a, "2020-05-01", **common),
        fact(concept, Q2, b, "2020-08-01", **common),
        fact(concept, H1, a + b, "2020-08-01", **common),
        fact(concept, Q3, c, "2020-11-01", **common),
        fact(concept, N9, a + b + c, "2020-11-01", **common),
        fact(concept, FY, a + b + c + d, "2021-02-15", form="10-K", **common),
    ]


def body(**concepts):
    units = {name: {"label": None, "description": None, "units": {"USD": rows}} for name, rows in concepts.items()}
    return json.dumps({"cik": 7, "entityName": "X", "facts": {"us-gaap": units}}).encode()


def raw(val, end="2020-03-31", **more):
    return {"start": "2020-01-01", "end": end, "val": val, "accn": "a", "fy": 2020, "fp": "Q1", "form": "10-Q",
            "filed": "2020-05-01"} | more  # fmt: skip


# ---------------------------------------------------------------- parse


def test_fy_and_fp_describe_the_filing_not_the_period():
    # the comparative quarter of 2019 stands in the 10-Q of 2020 under fy 2020, fp Q1
    rows = [raw(10), raw(7, start="2019-01-01", end="2019-03-31")]
    facts = parse.companyfacts(body(Revenues=rows))
    assert "fy" not in facts.columns
    found = compute.statements(parse.with_known_at(facts, NO_FILINGS))
    assert known(found, "Q", "2019-03-31", "revenue") == 7
    assert known(found, "Q", "2020-03-31", "revenue") == 10


def test_unknown_and_missing_columns_are_errors_that_name_them():
    with pytest.raises(ValueError, match=r"companyfacts of CIK 7: us-gaap:Revenues.*surprise"):
        parse.companyfacts(body(Revenues=[raw(1, surprise=1)]))
    broken = raw(1)
    del broken["filed"]
    with pytest.raises(ValueError, match="filed"):
        parse.companyfacts(body(Revenues=[broken]))
    with pytest.raises(ValueError, match="companyfacts"):
        parse.companyfacts(b'{"filings": {}}')
    with pytest.raises(ValueError, match="start, end or filed"):
        parse.companyfacts(body(Revenues=[raw(1, end="soon")]))


def test_duplicate_facts_in_one_filing_keep_the_more_precise():
    facts = parse.companyfacts(body(Revenues=[raw(1_234_567), raw(1_235_000), raw(1_234_567)]))
    assert facts["value"].to_list() == [1_234_567.0]


def test_a_company_without_mapped_facts_has_no_rows():
    facts = parse.companyfacts(b'{"cik": "0000000007", "entityName": "X", "facts": {}}')
    assert facts.schema == pl.Schema(parse.SCHEMA)
    assert compute.statements(parse.with_known_at(facts, NO_FILINGS)).schema == pl.Schema(compute.SCHEMA)


def test_facts_of_a_filing_without_acceptance_are_known_at_ten_in_the_evening():
    rows = statements(fact(REVENUE, Q1, 10, "2020-05-01"))
    assert rows["known_at"][0] == datetime(2020, 5, 2, 2, tzinfo=UTC)  # 22:00 New York daylight time


# ---------------------------------------------------------------- statements


def test_q4_is_the_year_less_nine_months():
    rows = statements(*year_of(REVENUE), *year_of(NET, (1, 2, 3, 4)))
    assert known(rows, "Q", "2020-12-31", "revenue") == 20
    assert known(rows, "Q", "2020-12-31", "revenue", on="2021-02-14") is None
    assert known(rows, "TTM", "2020-12-31", "net_income") == 10
    sources = rows.filter(period_type="Q", period_end=date(2020, 12, 31))["source_accession_nos"][0].to_list()
    assert sources == ["1-10-K-2021-02-15", "1-10-Q-2020-11-01"]


def test_per_share_figures_are_never_subtracted():
    rows = statements(*year_of(NET), *year_of("EarningsPerShareDiluted", (1, 1, 1, 1), unit="USD/shares"))
    assert known(rows, "FY", "2020-12-31", "eps_diluted") == 4
    assert known(rows, "Q", "2020-12-31", "eps_diluted") is None


def test_cash_flow_to_date_is_differenced():
    rows = statements(
        fact(OCF, Q1, 5, "2020-05-01"),
        fact(OCF, H1, 12, "2020-08-01"),
        fact(OCF, N9, 10, "2020-11-01"),
        fact(OCF, FY, 30, "2021-02-15", form="10-K"),
    )
    quarters = compute.as_of(rows, datetime(2030, 1, 1, tzinfo=UTC)).filter(period_type="Q")
    assert quarters["operating_cash_flow"].to_list() == [5, 7, -2, 20]
    assert quarters["fiscal_quarter"].to_list() == [1, 2, 3, 4]


def test_where_one_of_the_two_was_restated_the_last_consistent_pair_stays():
    restated = (fact(OCF, N9, 31, "2021-11-01"), fact(OCF, FY, 55, "2022-02-15", form="10-K"))
    rows = statements(*year_of(OCF, (10, 10, 10, 20)), *restated)
    assert known(rows, "Q", "2020-12-31", "operating_cash_flow", on="2021-11-02") == 20
    assert known(rows, "Q", "2020-12-31", "operating_cash_flow", on="2022-02-16") == 24


def test_a_difference_never_replaces_a_stated_quarter():
    """NVIDIA's 0001045810-18-000010 gives the six months what the second quarter was, beside an unchanged first."""
    slip = [fact(REVENUE, Q1, 10, "2021-02-15", form="10-K"), fact(REVENUE, H1, 12, "2021-02-15", form="10-K")]
    rows = statements(*year_of(REVENUE), *slip)
    assert known(rows, "Q", "2020-06-30", "revenue") == 12


def test_a_stated_fourth_quarter_yields_when_its_year_and_its_nine_months_were_recast():
    """McDonald's 0000063908-20-000022 states 5,349.0; nine months and year were recast since, the quarter never."""
    stated = [*year_of(REVENUE), fact(REVENUE, Q4, 20, "2021-02-15", form="10-K")]
    months, year = fact(REVENUE, N9, 37, "2021-11-01"), fact(REVENUE, FY, 58, "2022-02-15", form="10-K")
    assert known(statements(*stated, months), "Q", "2020-12-31", "revenue") == 20
    assert known(statements(*stated, year), "Q", "2020-12-31", "revenue") == 20
    rows = statements(*stated, months, year)
    assert known(rows, "Q", "2020-12-31", "revenue", on="2022-02-14") == 20
    assert known(rows, "Q", "2020-12-31", "revenue") == 58 - 37
    rows = statements(*stated, months, year, fact(REVENUE, Q4, 22, "2022-02-15", form="10-K"))
    assert known(rows, "Q", "2020-12-31", "revenue") == 22  # stated again


def test_a_10q_tells_no_fiscal_year():
    rows = statements(*year_of(REVENUE), fact(REVENUE, FY, 20, "2021-08-01"))
    assert known(rows, "FY", "2020-12-31", "revenue") == known(rows, "TTM", "2020-12-31", "revenue") == 56


def test_a_turned_sign_is_no_restatement_unless_the_filing_turns_all_it_repeats():
    equity = "StockholdersEquity"
    first = [fact(equity, end, -5, "2020-05-01") for end in ("2019-12-31", "2020-03-31")]
    slip = fact(equity, "2020-03-31", 5, "2021-05-01"), fact(equity, "2019-12-31", -5, "2021-05-01")
    rows = statements(*first, fact(ASSETS, "2020-03-31", 9, "2020-05-01"), *slip)
    assert known(rows, "Q", "2020-03-31", "shareholders_equity") == -5
    turned = [fact(equity, end, 5, "2021-05-01") for end in ("2019-12-31", "2020-03-31")]
    rows = statements(*first, fact(ASSETS, "2020-03-31", 9, "2020-05-01"), *turned)
    assert known(rows, "Q", "2020-03-31", "shareholders_equity") == 5


def test_a_forgotten_minus_of_net_income_or_of_earnings_a_share():
    def quarter(net, eps):
        return statements(
            fact(NET, Q1, net, "2020-05-01"),
            fact("EarningsPerShareDiluted", Q1, eps, "2020-05-01", unit="USD/shares"),
            fact("WeightedAverageNumberOfDilutedSharesOutstanding", Q1, 265.6, "2020-05-01", unit="shares"),
        )

    for net, eps in ((613.6, -2.31), (-613.6, 2.31)):
        assert known(quarter(net, eps), "Q", "2020-03-31", "net_income") == -613.6
        assert known(quarter(net, eps), "Q", "2020-03-31", "eps_diluted") == -2.31
    # a profit that preferred dividends turn into a loss a share
    assert known(quarter(10, -2.31), "Q", "2020-03-31", "net_income") == 10


def test_forgotten_thousands_are_no_restatement():
    rows = statements(fact(REVENUE, Q1, 10_123_000, "2020-05-01"), fact(REVENUE, Q1, 10_123, "2021-05-01"))
    assert known(rows, "Q", "2020-03-31", "revenue") == 10_123_000


def test_an_amount_of_a_neighbouring_period_is_no_restatement_until_more_filings_say_so():
    months = [fact(OCF, H1, -1264, "2020-08-01"), fact(OCF, N9, 1613, "2020-11-01")]
    rows = statements(*months, fact(OCF, H1, 1613, "2021-11-01"), fact(OCF, N9, 1613, "2021-11-01"))
    assert known(rows, "Q", "2020-09-30", "operating_cash_flow") == 1613 + 1264
    cash = "CashAndCashEquivalentsAtCarryingValue"
    first = [fact(ASSETS, "2020-03-31", 9, "2020-05-01"), fact(cash, "2020-03-31", 1723, "2020-05-01")]
    later = fact(cash, "2020-06-30", 2216, "2020-08-01")
    again = [fact(cash, "2020-03-31", 2216, filed) for filed in ("2021-05-01", "2021-08-01")]
    rows = statements(*first, later, *again)
    assert known(rows, "Q", "2020-03-31", "cash_and_equivalents", on="2021-05-02") == 1723
    assert known(rows, "Q", "2020-03-31", "cash_and_equivalents") == 2216
    rows = statements(*first, later, again[0] | {"value": 2215.0})
    assert known(rows, "Q", "2020-03-31", "cash_and_equivalents") == 2215


@pytest.mark.parametrize(("nine_months", "expected"), [(-523, -523 - 515), (-522, -522 + 523)])
def test_three_digits_that_one_filing_gives_to_the_half_and_the_nine_months_are_the_nine_months(nine_months, expected):
    first = [fact(OCF, H1, 515, "2020-08-01"), fact(OCF, N9, -523, "2020-11-01")]
    rows = statements(*first, fact(OCF, H1, -523, "2021-11-01"), fact(OCF, N9, nine_months, "2021-11-01"))
    assert known(rows, "Q", "2020-09-30", "operating_cash_flow", on="2020-12-31") == -523 - 515
    assert known(rows, "Q", "2020-09-30", "operating_cash_flow") == expected


def test_a_fourth_quarter_that_sold_less_than_nothing_is_missing():
    """The year is told without a business that was discontinued in its last quarter, the nine months with it."""
    rows = statements(*year_of(REVENUE, (30, 30, 30, -10)))
    assert known(rows, "FY", "2020-12-31", "revenue") == 80
    assert known(rows, "Q", "2020-12-31", "revenue") is None


def test_a_share_count_that_the_same_filing_contradicts_is_dropped():
    def shares(average, cover, sheet=None):
        counted = fact(ASSETS, "2020-03-31", 9, "2020-05-01"), fact(NET, Q1, 8e9, "2020-05-01")
        of_period = fact("WeightedAverageNumberOfSharesOutstandingBasic", Q1, average, "2020-05-01", unit="shares")
        of_date = fact("CommonStockSharesOutstanding", "2020-03-31", sheet or 0, "2020-05-01", unit="shares")
        tag = "EntityCommonStockSharesOutstanding"
        on_cover = fact(tag, "2020-04-20", cover, "2020-05-01", unit="shares", taxonomy="dei")
        rows = statements(*counted, of_period, on_cover, *([of_date] if sheet else []))
        return known(rows, "Q", "2020-03-31", "shares_outstanding")

    assert shares(average=1540, cover=1541, sheet=1222) == 1541  # Home Depot's balance sheet
    assert shares(average=1540, cover=391) == 1540  # one class of two on the cover
    assert shares(average=1540, cover=1000, sheet=1010) == 1010  # bought back
    assert shares(average=168, cover=32, sheet=168) == 168  # merged since
    assert shares(average=1812e6, cover=1_807_788_865, sheet=1900e6) == 1_807_788_865  # Disney's "1.9 billion"
    assert shares(average=179e6, cover=180_244_858, sheet=180e6) == 180e6  # rounded to the million
    assert shares(average=1890e6, cover=1_807_788_865, sheet=1900e6) == 1900e6  # bought back


@pytest.mark.parametrize(("cover", "sheet", "expected"), [(1541, 1222, 1541), (391, None, 1540), (1812, 1900, 1812)])
def test_a_dropped_share_count_stays_so_when_the_rest_of_its_row_is_told_again(cover, sheet, expected):
    def told(filed, *concepts):
        counts = {"WeightedAverageNumberOfSharesOutstandingBasic": 1540, "CommonStockSharesOutstanding": sheet}
        counts["EntityCommonStockSharesOutstanding"] = cover
        if cover == 1812:
            counts["WeightedAverageNumberOfSharesOutstandingBasic"] = 1815
        dated = {"CommonStockSharesOutstanding": "2020-03-31", "EntityCommonStockSharesOutstanding": "2020-04-20"}
        return [
            fact(name, dated.get(name, Q1), counts[name], filed, unit="shares",
                 taxonomy="dei" if name.startswith("Entity") else "us-gaap")
            for name in concepts
            if counts[name]
        ]  # fmt: skip

    average, on_sheet, on_cover = (
        "WeightedAverageNumberOfSharesOutstandingBasic",
        "CommonStockSharesOutstanding",
        "EntityCommonStockSharesOutstanding",
    )
    first = [fact(ASSETS, "2020-03-31", 9, "2020-05-01"), *told("2020-05-01", average, on_sheet, on_cover)]
    rows = statements(
        *first,
        *(fact(NET, Q1, amount, filed) for amount, filed in ((8e9, "2020-05-01"), (7e9, "2021-05-01"))),
        *told("2021-05-01", average),  # of the year after: the quarter's average, but not its cover
        *told("2022-05-01", on_sheet),
    )
    for on in ("2020-06-01", "2021-06-01", "2022-06-01"):
        assert known(rows, "Q", "2020-03-31", "shares_outstanding", on=on) == expected


@pytest.mark.parametrize("slip", [-300, 300_000], ids=["sign", "scale"])
def test_a_slip_of_a_first_filing_yields_to_its_amendment_and_to_two_later_filings(slip):
    first, amended = fact(REVENUE, FY, slip, "2021-02-15", form="10-K"), "2021-03-01"
    repeated = [fact(REVENUE, FY, 300, f"{year}-02-15", form="10-K") for year in (2022, 2023)]
    rows = statements(first, fact(REVENUE, FY, 300, amended, form="10-K/A"))
    assert known(rows, "FY", "2020-12-31", "revenue") == 300
    rows = statements(first, *repeated)
    assert known(rows, "FY", "2020-12-31", "revenue", on="2022-02-16") == slip
    assert known(rows, "FY", "2020-12-31", "revenue") == 300
    again = fact(REVENUE, FY, slip, "2024-02-15", form="10-K")
    assert known(statements(first, *repeated, repeated[0] | {"filed_on": date(2023, 5, 1)}, again), "FY",
                 "2020-12-31", "revenue") == 300  # fmt: skip


def test_shares_without_their_thousands_yield_to_what_else_a_filing_says_of_them():
    def shares(concept, count, period="2020-03-31", **where):
        return fact(concept, period, count, "2020-05-01", unit="shares", **where)

    counted = [fact(NET, Q1, 8e9, "2020-05-01"), shares("CommonStockSharesOutstanding", 861_745)]
    cover = shares("EntityCommonStockSharesOutstanding", 861_381_000, "2020-04-20", taxonomy="dei")
    eps = fact("EarningsPerShareDiluted", Q1, 9.1, "2020-05-01", unit="USD/shares")
    assert known(statements(*counted, cover, eps), "Q", "2020-03-31", "shares_outstanding") == 861_381_000
    assert known(statements(*counted, cover), "Q", "2020-03-31", "shares_outstanding") == 861_381_000
    assert known(statements(*counted, eps), "Q", "2020-03-31", "shares_outstanding") is None


@pytest.mark.parametrize(
    ("balances", "expected"),
    [
        ({"LongTermDebt": 100, "LongTermDebtCurrent": 10}, 100),  # no other line is the one of what falls due later
        ({"LongTermDebt": 100, "LongTermDebtCurrent": 10, "LongTermDebtNoncurrent": 90}, 90),
        ({"LongTermDebt": 100, "LongTermDebtCurrent": 10, "SeniorLongTermNotes": 70}, 90),
        ({"LongTermDebt": 0, "ConvertibleDebtCurrent": 10, "ConvertibleDebtNoncurrent": 0}, 0),  # not -10
        ({"LongTermDebtNoncurrent": 0, "LongTermDebtAndCapitalLeaseObligations": 3171}, 3171),
    ],
)
def test_long_term_debt_is_neither_negative_nor_lost(balances, expected):
    told = [fact(name, "2020-12-31", amount, "2021-02-15", form="10-K") for name, amount in balances.items()]
    rows = statements(fact(NET, FY, 1, "2021-02-15", form="10-K"), *told)
    assert known(rows, "FY", "2020-12-31", "long_term_debt") == expected


def test_debt_that_is_its_own_part_or_told_twice():
    def debt(figure, **balances):
        rows = statements(
            fact(ASSETS, "2020-12-31", 100, "2021-02-15", form="10-K"),
            *(fact(tag, "2020-12-31", value, "2021-02-15", form="10-K") for tag, value in balances.items()),
        )
        return known(rows, "Q", "2020-12-31", figure)

    assert debt("short_term_debt", DebtCurrent=5, LongTermDebtCurrent=50) == 50
    assert debt("short_term_debt", DebtCurrent=45, LongTermDebtAndCapitalLeaseObligationsCurrent=50) == 45
    assert debt("long_term_debt", LongTermDebtNoncurrent=0, ConvertibleDebtNoncurrent=50) == 50
    assert debt("long_term_debt", LongTermDebtNoncurrent=50, ConvertibleDebtCurrent=50) is None
    lines = {"LongTermDebtNoncurrent": 352, "LongTermLineOfCredit": 275, "LongTermDebtCurrent": 42}
    assert debt("long_term_debt", **lines, LongTermDebt=669) == 627
    assert debt("long_term_debt", **lines, LongTermDebt=394) == 352


def test_twelve_months_after_a_restated_year_are_all_on_its_basis():
    """Apple's 0001193125-10-012091 restates the year; the next 10-Q its first quarter, the others not yet."""
    later = ("2021-01-01", "2021-03-31")
    restated = [fact(REVENUE, FY, 76, "2021-04-01", form="10-K/A"), fact(REVENUE, later, 15, "2021-05-01")]
    rows = statements(*year_of(REVENUE), *restated, fact(REVENUE, Q1, 13, "2021-05-01"))
    assert known(rows, "TTM", "2021-03-31", "revenue") == 15 + 76 - 13
    # the year restated, the same months of it not: all as first filed
    rows = statements(
        *year_of(REVENUE), fact(REVENUE, later, 15, "2021-05-01"), fact(REVENUE, FY, 76, "2021-06-01", form="10-K/A")
    )
    assert known(rows, "TTM", "2021-03-31", "revenue") == 15 + 56 - 10


def test_a_year_to_date_beside_its_last_quarter_restates_the_others_unsaid():
    """Nike's half of 12,429 beside a quarter of 5,955 leaves 6,474 for the first quarter, which was 6,669: so is the
    year; the next year's report says it at last."""
    later = ("2021-01-01", "2021-03-31")
    half = [fact(REVENUE, Q2, 12, "2020-08-01"), fact(REVENUE, H1, 20, "2020-08-01")]
    rest = [fact(REVENUE, Q3, 14, "2020-11-01"), fact(REVENUE, N9, 34, "2020-11-01")]
    year = [fact(REVENUE, FY, 54, "2021-02-15", form="10-K"), fact(REVENUE, later, 15, "2021-05-01")]
    quarter, said = fact(REVENUE, Q1, 10, "2020-05-01"), fact(REVENUE, Q1, 8, "2021-05-01")
    rows = statements(quarter, *half, *rest, *year, said)
    assert known(rows, "Q", "2020-03-31", "revenue", on="2021-04-30") == 10
    assert known(rows, "TTM", "2021-03-31", "revenue") == 15 + 54 - 8
    # a half that holds the quarter as it was then; a restatement after the year: all as first filed
    half[1], rest[1], year[0] = half[1] | {"value": 22.0}, rest[1] | {"value": 36.0}, year[0] | {"value": 56.0}
    rows = statements(quarter, *half, *rest, *year, said)
    assert known(rows, "TTM", "2021-03-31", "revenue") == 15 + 56 - 10


def test_a_year_to_date_counts_where_its_quarters_no_longer_add_up_to_it():
    """SunEdison's nine months of 2012 are -138.8 million in the report that leaves -116.3 to the sum of quarters."""
    before = (("2019-01-01", "2019-12-31"), ("2019-01-01", "2019-09-30"))
    facts = [
        fact(REVENUE, before[1], 30, "2019-11-01"),
        fact(REVENUE, before[0], 41, "2020-02-15", form="10-K"),
        fact(REVENUE, Q1, 10, "2020-05-01"),
        fact(REVENUE, Q2, 12, "2020-08-01"),
        fact(REVENUE, Q3, 14, "2020-11-01"),
    ]
    assert known(statements(*facts), "TTM", "2020-09-30", "revenue") == 11 + 10 + 12 + 14
    rows = statements(*facts, fact(REVENUE, N9, 34, "2020-11-01"))
    assert known(rows, "TTM", "2020-09-30", "revenue") == 11 + 34


def test_restated_quarter_keeps_the_first_filed_value():
    rows = statements(fact(REVENUE, Q1, 10, "2020-05-01"), fact(REVENUE, Q1, 9, "2021-05-01"))
    assert known(rows, "Q", "2020-03-31", "revenue", on="2020-12-31") == 10
    assert known(rows, "Q", "2020-03-31", "revenue") == 9


def test_late_restatement_of_an_old_period_does_not_replace_the_newest():
    rows = statements(*year_of(REVENUE), fact(REVENUE, Q1, 9, "2021-03-01", form="10-K/A"))
    newest = compute.as_of(rows, datetime(2030, 1, 1, tzinfo=UTC)).filter(period_type="Q").sort("period_end")
    assert newest["period_end"].max() == date(2020, 12, 31)
    assert newest.filter(period_end=date(2020, 3, 31))["revenue"].item() == 9


def test_a_value_that_is_stated_again_makes_no_new_version():
    rows = statements(fact(REVENUE, Q1, 10, "2020-05-01"), fact(REVENUE, Q1, 10, "2021-05-01"))
    assert rows.filter(period_type="Q").height == 1


def test_tags_migrate_and_each_period_takes_the_newest():
    rows = statements(
        fact("SalesRevenueNet", Q1, 10, "2020-05-01"),
        fact("SalesRevenueNet", H1, 22, "2020-08-01"),
        fact(REVENUE, Q3, 14, "2020-11-01"),
        fact(REVENUE, Q1, 11, "2021-05-01"),
    )
    assert known(rows, "Q", "2020-06-30", "revenue") == 12
    assert known(rows, "Q", "2020-09-30", "revenue") == 14
    assert known(rows, "Q", "2020-03-31", "revenue") == 11


def test_a_tag_that_changes_within_the_year_still_gives_q4():
    rows = statements(fact("SalesRevenueNet", N9, 36, "2020-11-01"), fact(REVENUE, FY, 56, "2021-02-15", form="10-K"))
    assert known(rows, "Q", "2020-12-31", "revenue") == 20


def test_the_fourth_quarter_after_a_tag_change_is_known_with_the_annual_report():
    """Nine months under the old tag, the year under the new one; a year later both under the new one."""
    nine, later = ("2020-01-01", "2020-09-30"), ("2021-01-01", "2021-09-30")
    filed = [
        fact("InterestExpense", nine, 36, "2020-11-01"),
        fact("InterestExpenseNonoperating", FY, 56, "2021-02-15", form="10-K"),
        fact("InterestExpenseNonoperating", later, 40, "2021-11-01"),
        fact("InterestExpenseNonoperating", nine, 35, "2021-11-01"),
    ]
    for told in (filed[:2], filed):  # what a later filing brings does not decide what an earlier day knew
        rows = statements(*told, *year_of(REVENUE))
        assert known(rows, "Q", "2020-12-31", "interest_expense", on="2021-02-14") is None
        assert known(rows, "Q", "2020-12-31", "interest_expense", on="2021-02-16") == 20
    assert known(rows, "Q", "2020-12-31", "interest_expense", on="2021-11-02") == 21


def test_component_tags_never_replace_a_total():
    total, part = "Revenues", REVENUE
    rows = statements(
        fact(total, Q1, 100, "2020-05-01"),
        fact(part, Q1, 80, "2020-05-01"),
        fact(part, Q1, 80, "2021-05-01"),
        fact(total, ("2021-01-01", "2021-03-31"), 110, "2021-05-01"),
    )
    assert known(rows, "Q", "2020-03-31", "revenue") == 100
    # and where a company stops using the total's tag, its other tag is the total
    rows = statements(fact(total, Q1, 100, "2020-05-01"), fact(part, Q1, 95, "2021-05-01"))
    assert known(rows, "Q", "2020-03-31", "revenue") == 95


def test_a_total_less_than_its_part_is_none():
    rows = statements(
        fact("Revenues", FY, 90, "2021-02-15", form="10-K"), fact("SalesRevenueNet", FY, 100, "2021-02-15", form="10-K")
    )
    assert known(rows, "FY", "2020-12-31", "revenue") == 100


def test_a_cash_flow_far_below_its_continuing_part_is_no_total():
    def told(total, part):
        return known(
            statements(
                fact(OCF, FY, total, "2021-02-15", form="10-K"),
                fact(f"{OCF}ContinuingOperations", FY, part, "2021-02-15", form="10-K"),
            ),
            "FY",
            "2020-12-31",
            "operating_cash_flow",
        )

    assert told(2, -125) == -125
    assert told(-40, 100) == -40  # a discontinued business may turn the sign


def test_twelve_months_of_a_quarterly_report_are_no_fiscal_year():
    rolling = ("2019-07-01", "2020-06-30")
    rows = statements(*year_of(REVENUE), fact(REVENUE, rolling, 50, "2020-08-01"))
    assert known(rows, "FY", "2020-06-30", "revenue") is None
    assert rows.filter(period_type="FY")["period_end"].unique().to_list() == [date(2020, 12, 31)]


def test_a_transition_period_is_a_quarter_only_when_it_lasts_one():
    short, odd = ("2021-01-01", "2021-03-31"), ("2021-04-01", "2021-05-31")
    rows = statements(
        *year_of(REVENUE),
        fact(REVENUE, short, 9, "2021-06-01", form="10-KT"),
        fact(REVENUE, odd, 6, "2021-08-01", form="10-KT"),
    )
    assert known(rows, "Q", "2021-03-31", "revenue") == 9
    assert rows.filter(period_end=date(2021, 5, 31)).is_empty()
    assert known(rows, "TTM", "2021-03-31", "revenue") == 12 + 14 + 20 + 9


def test_quarters_of_twelve_and_sixteen_weeks():
    ends = [date(2020, 9, 6) + timedelta(weeks=12 * n) for n in range(4)]
    start = ends[0] + timedelta(days=1)
    to_date = [
        fact(REVENUE, (str(start), str(end)), 10 * n, str(end + timedelta(20))) for n, end in enumerate(ends) if n
    ]
    last = ends[3] + timedelta(weeks=16)
    rows = statements(*to_date, fact(REVENUE, (str(start), str(last)), 46, str(last + timedelta(40)), form="10-K"))
    quarter = rows.filter(period_type="Q", period_end=last).row(0, named=True)
    assert (quarter["revenue"], quarter["fiscal_quarter"]) == (16, 4)
    assert (last - quarter["period_start"]).days + 1 == 112


def test_sloppy_dates_are_one_period():
    rows = statements(
        fact(REVENUE, ("2020-01-01", "2020-03-31"), 10, "2020-05-01"),
        fact(NET, ("2020-01-01", "2020-03-29"), 2, "2020-05-01"),
        fact(REVENUE, ("2020-01-01", "2020-03-29"), 11, "2021-05-01"),
    )
    assert rows.filter(period_type="Q")["period_end"].n_unique() == 1


def test_balances_stand_in_the_quarter_and_in_the_year_that_ends_then():
    rows = statements(
        *year_of(REVENUE),
        fact(ASSETS, "2020-12-31", 99, "2021-02-15", form="10-K"),
        fact(ASSETS, "2020-09-30", 90, "2020-11-01"),
    )
    assert known(rows, "Q", "2020-12-31", "total_assets") == 99
    assert known(rows, "FY", "2020-12-31", "total_assets") == 99
    assert known(rows, "Q", "2020-09-30", "total_assets") == 90


def test_a_balance_sheet_alone_makes_a_quarters_row():
    rows = statements(fact(ASSETS, "2020-09-30", 90, "2020-11-01"))
    assert rows.select("period_type", "total_assets", "revenue").rows() == [("Q", 90.0, None)]


def test_cover_page_shares_belong_to_the_reports_period():
    rows = statements(
        fact(REVENUE, Q1, 10, "2020-05-01"),
        fact("EntityCommonStockSharesOutstanding", "2020-04-20", 500, "2020-05-01", taxonomy="dei", unit="shares"),
    )
    assert known(rows, "Q", "2020-03-31", "shares_outstanding") == 500
    assert rows.filter(period_type="Q")["shares_filed_on"].to_list() == [date(2020, 5, 1)]


def on_split_basis(rows: pl.DataFrame, splits: pl.DataFrame, on: date) -> pl.DataFrame:
    """Rows with per-share figures and share counts brought to the split basis of the day `on`.

    splits: cik, ex_date, numerator, denominator (4 and 1 where one share became four). Those with
    filed day < ex_date <= on count: a filing already restates what went ex before it.
    """
    keyed = rows.with_row_index("row")
    factors = (
        keyed.select("row", "cik", "eps_filed_on", "shares_filed_on")
        .join(splits.select("cik", "ex_date", ratio=pl.col("numerator") / pl.col("denominator")), on="cik")
        .filter(pl.col("ex_date") <= on)
        .group_by("row")
        .agg(
            pl.col("ratio").filter(pl.col("ex_date") > pl.col("eps_filed_on")).product().alias("eps_factor"),
            pl.col("ratio").filter(pl.col("ex_date") > pl.col("shares_filed_on")).product().alias("shares_factor"),
        )
    )
    return (
        keyed.join(factors, on="row", how="left", maintain_order="left")
        .with_columns(
            pl.col(*PER_SHARE) / pl.col("eps_factor").fill_null(1.0),
            pl.col("shares_outstanding") * pl.col("shares_factor").fill_null(1.0),
        )
        .drop("row", "eps_factor", "shares_factor")
    )


def test_per_share_values_keep_the_split_basis_of_their_filing_until_adjusted():
    eps = "EarningsPerShareBasic"
    rows = statements(
        fact(NET, FY, 8, "2021-02-15", form="10-K"), fact(eps, FY, 8.0, "2021-02-15", form="10-K", unit="USD/shares"),
        fact(eps, FY, 2.0, "2022-02-15", form="10-K", unit="USD/shares"),
    ).filter(period_type="FY")  # fmt: skip
    split = pl.DataFrame({"cik": [1], "ex_date": [date(2021, 8, 1)], "numerator": [4.0], "denominator": [1.0]})
    assert rows["eps_basic"].to_list() == [8.0, 2.0]
    assert on_split_basis(rows, split, date(2022, 3, 1))["eps_basic"].to_list() == [2.0, 2.0]
    assert on_split_basis(rows, split, date(2021, 7, 31))["eps_basic"].to_list() == [8.0, 2.0]


def test_one_currency_makes_a_statement_and_is_carried():
    rows = statements(
        fact(REVENUE, FY, 70, "2021-02-15", form="20-F", unit="CNY"),
        fact(NET, FY, 7, "2021-02-15", form="20-F", unit="CNY"),
        fact(REVENUE, FY, 10, "2021-02-15", form="20-F", unit="USD"),
    )
    assert known(rows, "FY", "2020-12-31", "revenue") == 70
    assert rows["currency"].unique().to_list() == ["CNY"]


def test_half_yearly_ifrs_reports_make_trailing_years():
    def ifrs(period, value, filed, form):
        return fact("Revenue", period, value, filed, form=form, taxonomy="ifrs-full", unit="EUR")

    rows = statements(
        ifrs(H1, 10, "2020-09-01", "6-K"),
        ifrs(FY, 25, "2021-03-01", "20-F"),
        ifrs(("2021-01-01", "2021-06-30"), 14, "2021-09-01", "6-K"),
    )
    assert known(rows, "TTM", "2020-12-31", "revenue") == 25
    assert known(rows, "TTM", "2021-06-30", "revenue") == 25 + 14 - 10


def test_missing_is_missing():
    """A bank: no gross profit, no current assets; revenue is what it keeps of interest and its fees."""
    rows = statements(
        fact("InterestIncomeExpenseNet", FY, 60, "2021-02-15", form="10-K"),
        fact("NoninterestIncome", FY, 40, "2021-02-15", form="10-K"),
        fact(ASSETS, "2020-12-31", 900, "2021-02-15", form="10-K"),
    )
    assert known(rows, "FY", "2020-12-31", "revenue") == 100
    for figure in ("gross_profit", "gross_margin", "current_assets", "current_ratio", "inventory", "capex", "roe"):
        assert known(rows, "FY", "2020-12-31", figure) is None


def annual(**concepts):
    return statements(*[fact(name, FY, amount, "2021-02-15", form="10-K") for name, amount in concepts.items()])


def test_a_banks_revenue_is_net_of_what_its_deposits_cost():
    """Shaped as JPMorgan's: RevenuesNetOfInterestExpense is the headline, Revenues and contracts are something else."""
    rows = annual(
        Revenues=142, InterestAndDividendIncomeOperating=64, InterestExpense=10, InterestIncomeExpenseNet=54,
        NoninterestIncome=65, RevenuesNetOfInterestExpense=119, NoninterestExpense=66, NetIncomeLoss=29,
    )  # fmt: skip
    assert known(rows, "FY", "2020-12-31", "revenue") == 119
    assert known(rows, "FY", "2020-12-31", "interest_expense") == 10
    assert known(rows, "FY", "2020-12-31", "operating_income") is None
    # no subtotal of net interest; the cost of deposits under the 2024 taxonomy's tag; Revenues gross
    small = annual(
        Revenues=80,
        InterestAndDividendIncomeOperating=64,
        InterestExpenseOperating=10,
        NoninterestIncome=16,
        NetIncomeLoss=9,
    )
    assert known(small, "FY", "2020-12-31", "revenue") == 70


def test_a_makers_own_bank_is_not_its_revenue():
    bank = {"InterestIncomeExpenseNet": -120, "NoninterestIncome": 300}
    assert known(annual(Revenues=10_000, OperatingIncomeLoss=900, **bank), "FY", "2020-12-31", "revenue") == 10_000
    assert known(annual(Revenues=10_000, NetIncomeLoss=900, **bank), "FY", "2020-12-31", "revenue") == 180


def test_fees_from_contracts_are_not_the_revenue_of_a_lender_insurer_or_lessor():
    """Equibles#4208: SoFi's contracts of 0.62 billion beside total net revenue of 3.61."""
    contracts = {"RevenueFromContractWithCustomerExcludingAssessedTax": 6, "NetIncomeLoss": 2}
    headline = annual(**contracts, RevenuesNetOfInterestExpense=36)
    assert known(headline, "FY", "2020-12-31", "revenue") == 36
    lender = annual(**contracts, InterestAndDividendIncomeOperating=40)
    assert known(lender, "FY", "2020-12-31", "revenue") is None
    insurer = annual(**contracts, PremiumsEarnedNet=50, Revenues=58)
    assert known(insurer, "FY", "2020-12-31", "revenue") == 58
    untold = annual(**contracts, PremiumsEarnedNet=50)
    assert known(untold, "FY", "2020-12-31", "revenue") is None
    for rent in ("OperatingLeaseLeaseIncome", "LeaseIncome", "OperatingLeasesIncomeStatementLeaseRevenue"):
        assert known(annual(**contracts, **{rent: 30}), "FY", "2020-12-31", "revenue") == 30
    assert known(annual(**contracts, InsuranceServicesRevenue=50), "FY", "2020-12-31", "revenue") is None


def test_an_insurers_revenue_may_be_less_than_its_premiums():
    rows = annual(PremiumsEarnedNet=50, Revenues=46, NetIncomeLoss=-5)  # a year of losses on its investments
    assert known(rows, "FY", "2020-12-31", "revenue") == 46


def test_a_reits_total_is_the_contract_tag_where_it_says_so():
    """Equibles#4096: Alexandria's total stands under the tag with assessed tax, its rents are a part."""
    rows = annual(RevenueFromContractWithCustomerIncludingAssessedTax=3116, OperatingLeaseLeaseIncome=3050)
    assert known(rows, "FY", "2020-12-31", "revenue") == 3116
    old = annual(RealEstateRevenueNet=100, OperatingLeasesIncomeStatementLeaseRevenue=80)
    assert known(old, "FY", "2020-12-31", "revenue") == 100


def test_a_utilitys_revenue_is_more_than_its_contracts():
    rows = annual(
        RegulatedAndUnregulatedOperatingRevenue=200, ElectricUtilityRevenue=150, InterestAndDebtExpense=12,
        RevenueFromContractWithCustomerExcludingAssessedTax=190, OperatingIncomeLoss=40,
    )  # fmt: skip
    assert known(rows, "FY", "2020-12-31", "revenue") == 200
    assert known(rows, "FY", "2020-12-31", "interest_coverage") == pytest.approx(40 / 12)


def test_costs_of_goods_are_all_costs_but_where_they_are_a_lesser_part_or_stand_beside_franchises():
    amazon = {
        "Revenues": 574_785, "CostOfGoodsAndServicesSold": 304_739, "CostsAndExpenses": 537_933,
        "OperatingIncomeLoss": 36_852, "SellingAndMarketingExpense": 44_370, "GeneralAndAdministrativeExpense": 11_816,
    }  # fmt: skip
    assert known(annual(**amazon), "FY", "2020-12-31", "gross_profit") == 574_785 - 304_739
    assert known(annual(**amazon, FranchiseCosts=5), "FY", "2020-12-31", "gross_profit") is None
    food = amazon | {"CostOfGoodsAndServicesSold": 104_739}
    assert known(annual(**food), "FY", "2020-12-31", "gross_profit") is None


@pytest.mark.parametrize(
    ("again", "costs", "expenses"),
    [
        ({REVENUE: 90, "GrossProfit": 36, NET: 5}, 54, 26),  # operating income as it was
        ({REVENUE: 90, "GrossProfit": 36, "OperatingIncomeLoss": 12, NET: 6}, 54, 24),
        ({REVENUE: 90, "GrossProfit": 36, NET: 6}, 54, 30),  # which of the two it changed is not said
        ({REVENUE: 90, "GrossProfit": 36, NET: 5, "CostOfRevenue": 53, "OperatingExpenses": 27}, 53, 27),
        ({REVENUE: 90, NET: 5}, 50, 30),  # the agent's part alone is revenue since: nothing was lost
        ({REVENUE: 90, NET: 4}, 60, 30),
        ({"GrossProfit": 36, NET: 5}, 60, 26),
    ],
)
def test_costs_left_behind_by_a_restatement_are_what_it_leaves(again, costs, expenses):
    first = {REVENUE: 100, "CostOfRevenue": 60, "GrossProfit": 40, "OperatingExpenses": 30, "OperatingIncomeLoss": 10}
    rows = statements(
        *(fact(concept, FY, value, "2021-02-15", form="10-K") for concept, value in {**first, NET: 5}.items()),
        *(fact(concept, FY, value, "2022-02-15", form="10-K") for concept, value in again.items()),
    )
    assert known(rows, "FY", "2020-12-31", "cost_of_revenue", on="2021-12-31") == 60
    assert known(rows, "FY", "2020-12-31", "cost_of_revenue") == costs
    assert known(rows, "FY", "2020-12-31", "operating_expenses") == expenses


def test_operating_income_between_gross_and_pretax_profit_where_both_ways_agree():
    pretax = "IncomeLossFromContinuingOperationsBeforeIncomeTaxesExtraordinaryItemsNoncontrollingInterest"
    shown = {
        REVENUE: 467, "GrossProfit": 215, "SellingGeneralAndAdministrativeExpense": 148,
        "InterestIncomeExpenseNonoperatingNet": -20, "OtherNonoperatingIncomeExpense": 18,
    }  # fmt: skip
    assert known(annual(**shown, **{pretax: 65}), "FY", "2020-12-31", "operating_income") == 67
    # something else lies between them: an impairment, say, of which nobody knows where it belongs
    assert known(annual(**shown, **{pretax: 45}), "FY", "2020-12-31", "operating_income") is None


def test_negative_equity_makes_no_return_and_no_leverage():
    rows = statements(
        fact(NET, FY, 5, "2021-02-15", form="10-K"),
        fact("StockholdersEquity", "2020-12-31", -3, "2021-02-15", form="10-K"),
        fact("LongTermDebtNoncurrent", "2020-12-31", 30, "2021-02-15", form="10-K"),
    )
    assert known(rows, "FY", "2020-12-31", "shareholders_equity") == -3
    assert known(rows, "FY", "2020-12-31", "roe") is None
    assert known(rows, "FY", "2020-12-31", "debt_to_equity") is None


def test_figures_and_ratios_of_a_plain_statement():
    def k(concept, value, period=FY):
        return fact(concept, period, value, "2021-02-15", form="10-K")

    end = "2020-12-31"
    rows = statements(
        k(REVENUE, 200),
        k("CostOfRevenue", 120),
        k("OperatingIncomeLoss", 30),
        k("InterestExpense", 5),
        k(NET, 20),
        k("IncomeTaxExpenseBenefit", 5),
        k(OCF, 35),
        k("PaymentsToAcquirePropertyPlantAndEquipment", 15),
        k("IncomeLossFromContinuingOperationsBeforeIncomeTaxesExtraordinaryItemsNoncontrollingInterest", 25),
        k(ASSETS, 300, end),
        k("StockholdersEquity", 100, end),
        k("AssetsCurrent", 90, end),
        k("LiabilitiesCurrent", 60, end),
        k("InventoryNet", 30, end),
        k("CashAndCashEquivalentsAtCarryingValue", 20, end),
        k("LongTermDebtCurrent", 10, end),
        k("CommercialPaper", 6, end),
        k("LongTermDebtNoncurrent", 64, end),
    )
    row = rows.filter(period_type="FY").row(0, named=True)
    expected = {
        "gross_profit": 80,
        "operating_expenses": 50,
        "free_cash_flow": 20,
        "total_liabilities": 200,
        "short_term_debt": 16,
        "gross_margin": 0.4,
        "operating_margin": 0.15,
        "net_margin": 0.1,
        "roe": 0.2,
        "roa": 20 / 300,
        "roic": 30 * 0.8 / (16 + 64 + 100 - 20),
        "debt_to_equity": 0.8,
        "current_ratio": 1.5,
        "quick_ratio": 1.0,
        "interest_coverage": 6.0,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_two_filings_on_one_day_make_one_row_with_the_later_known_at():
    facts = pl.DataFrame(
        [fact(REVENUE, Q1, 10, "2020-05-01", accession="a"), fact(NET, Q1, 2, "2020-05-01", accession="b", form="8-K")],
        schema=parse.SCHEMA,
    ).with_columns(
        pl.Series("known_at", [datetime(2020, 5, 1, 12), datetime(2020, 5, 1, 20)]).dt.replace_time_zone("UTC")
    )
    rows = compute.statements(facts).filter(period_type="Q")
    assert rows.height == 1
    assert rows["known_at"][0].hour == 20
    assert rows["accession_no"][0] == "b"


def test_pay_tables_of_proxies_restate_nothing():
    rows = statements(fact(NET, FY, 1234, "2021-02-15", form="10-K"), fact(NET, FY, 1200, "2021-04-01", form="DEF 14A"))
    assert known(rows, "FY", "2020-12-31", "net_income") == 1234


def test_companies_do_not_touch_each_other():
    one, two = year_of(REVENUE), [f | {"cik": 2, "value": f["value"] * 3} for f in year_of(REVENUE)]
    both = statements(*one, *two)
    assert both.filter(cik=1).equals(statements(*one))
    assert both.filter(cik=2)["revenue"].to_list() == [v * 3 for v in both.filter(cik=1)["revenue"]]


def test_fiscal_year_end_given_only_labels_what_the_facts_do_not():
    rows = statements(fact(ASSETS, "2020-06-30", 9, "2020-08-01"), *year_of(REVENUE)[:1], year_ends={1: "0930"})
    labels = rows.filter(period_type="Q").select("period_end", "fiscal_year", "fiscal_quarter").rows()
    assert labels == [(date(2020, 3, 31), 2020, 1), (date(2020, 6, 30), 2020, 3)]


def test_months_since_a_fresh_start_place_no_quarter_in_the_year():
    rows = statements(
        fact(REVENUE, Q2, 9, "2020-08-01"),
        fact(REVENUE, ("2020-03-01", "2020-06-30"), 12, "2020-08-01"),
        fact(REVENUE, Q3, 10, "2020-11-01"),
        fact(REVENUE, ("2020-03-01", "2020-09-30"), 22, "2020-11-01"),
        fact(REVENUE, ("2021-01-01", "2021-03-31"), 11, "2021-05-01"),
        year_ends={1: "1231"},
    )
    labels = rows.filter(period_type="Q").select("period_end", "fiscal_year", "fiscal_quarter").rows()
    assert labels == [(date(2020, 6, 30), 2020, 2), (date(2020, 9, 30), 2020, 3), (date(2021, 3, 31), 2021, 1)]


# ---------------------------------------------------------------- the promise

QUARTER_ENDS = [
    date(year, month, day) for year in (2019, 2020, 2021) for month, day in ((3, 31), (6, 30), (9, 30), (12, 31))
]


@st.composite
def random_facts(draw):
    facts = []
    for _ in range(draw(st.integers(1, 40))):
        at = draw(st.integers(0, len(QUARTER_ENDS) - 1))
        end = QUARTER_ENDS[at] + timedelta(days=draw(st.sampled_from([0, 0, 0, 0, -2, 1])))
        length = draw(st.integers(1, at % 4 + 1))
        start = date(end.year, 1, 1) if draw(st.booleans()) else QUARTER_ENDS[at] - timedelta(days=91 * length - 1)
        concept = draw(
            st.sampled_from(
                [
                    REVENUE,
                    "Revenues",
                    "SalesRevenueNet",
                    NET,
                    OCF,
                    "CostOfRevenue",
                    ASSETS,
                    "EarningsPerShareBasic",
                    "WeightedAverageNumberOfSharesOutstandingBasic",
                    "LongTermDebt",
                ]
            )
        )
        filed = QUARTER_ENDS[at] + timedelta(days=draw(st.integers(20, 800)))
        form = draw(st.sampled_from(["10-Q", "10-K", "10-K/A", "8-K", "DEF 14A"]))
        unit = "USD/shares" if concept.startswith("Earnings") else draw(st.sampled_from(["USD", "USD", "USD", "CAD"]))
        unit = "shares" if concept.startswith("Weighted") else unit
        period = str(end) if concept in (ASSETS, "LongTermDebt") else (str(start), str(end))
        amount = draw(st.integers(1, 5)) * draw(st.sampled_from([1, 1, 1, -1, 1000]))
        facts.append(fact(concept, period, amount, str(filed), form=form, unit=unit, cik=draw(st.integers(1, 2))))
    return pl.DataFrame(facts, schema=parse.SCHEMA).unique(parse.KEY, keep="first", maintain_order=True)


def test_an_end_seen_later_does_not_move_the_start_of_what_was_known():
    """An end near the eve of a start, first stated by a later filing, told the earlier filing where it begins."""
    facts = [
        fact(REVENUE, ("2021-01-01", "2021-03-29"), 1, "2021-04-20"),
        fact(REVENUE, ("2021-04-01", "2021-06-30"), 1, "2021-07-20"),
        fact(REVENUE, ("2021-01-01", "2021-03-31"), 1, "2023-01-29"),
    ]
    assert_no_look_ahead(pl.DataFrame(facts, schema=parse.SCHEMA), 1262)
    starts = statements(*facts).filter(period_type="Q")["period_start"].unique().sort().to_list()
    assert starts == [date(2021, 1, 1), date(2021, 3, 30)]


TAGS = {
    "revenue": [REVENUE, "SalesRevenueNet", "Revenues"],
    "cost": ["CostOfRevenue", "CostOfGoodsAndServicesSold"],
    "interest": ["InterestExpense", "InterestExpenseNonoperating"],
    "cash": [OCF],
    "net": [NET, "ProfitLoss"],
}


@st.composite
def facts_of_years(draw):
    """Three years of reports: tags that change between any two of them, amounts that are restated, parts left out."""
    tags = {item: draw(st.sampled_from(names)) for item, names in TAGS.items()}
    amounts = {item: [draw(st.integers(1, 50)) for _ in range(12)] for item in TAGS}
    facts = []
    for at, end in enumerate(QUARTER_ENDS):
        for item, names in TAGS.items():
            if draw(st.integers(0, 4)) == 0:
                tags[item] = draw(st.sampled_from(names))
            if at >= 4 and draw(st.integers(0, 7)) == 0:
                amounts[item][draw(st.integers(at - 4, at))] += 1
        form, wait = ("10-K", 60) if at % 4 == 3 else ("10-Q", 35)
        filed, number = str(end + timedelta(wait)), at % 4 + 1
        for year in (at, at - 4) if at >= 4 else (at,):
            first, last = year - number + 1, year
            for item in TAGS:
                spans = [(first, last)] if item == "cash" or form == "10-K" else [(first, last), (last, last)]
                for since, until in spans if draw(st.integers(0, 9)) else []:
                    start = QUARTER_ENDS[since - 1] + timedelta(1) if since else date(2019, 1, 1)
                    amount = sum(amounts[item][since : until + 1])
                    facts.append(fact(tags[item], (str(start), str(QUARTER_ENDS[until])), amount, filed, form=form))
    return pl.DataFrame(facts, schema=parse.SCHEMA).unique(parse.KEY, keep="first", maintain_order=True)


def assert_no_look_ahead(facts: pl.DataFrame, days: int) -> None:
    """All versions known by a moment, exactly, are made of the facts known by it."""
    moment = datetime(2019, 4, 1, 4, tzinfo=UTC) + timedelta(days=days)  # no day's filings are half known then
    facts = parse.with_known_at(facts, NO_FILINGS)
    known_by = pl.col("known_at") <= moment
    of_all = compute.statements(facts).filter(known_by)
    assert of_all.equals(compute.statements(facts.filter(known_by)))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_facts(), st.integers(0, 1600))
def test_what_was_known_at_a_moment_needs_no_later_fact(facts, days):
    assert_no_look_ahead(facts, days)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(facts_of_years(), st.integers(0, 1100))
def test_tag_changes_and_restatements_tell_an_earlier_day_nothing(facts, days):
    assert_no_look_ahead(facts, days)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=4, max_size=4), st.booleans())
def test_four_quarters_are_the_year(values, direct):
    filed = year_of(REVENUE, tuple(values))
    if not direct:  # only year-to-date, as in cash flows
        filed = [f for f in filed if f["period_start"] == date(2020, 1, 1)]
    rows = statements(*filed)
    quarters = compute.as_of(rows, datetime(2030, 1, 1, tzinfo=UTC)).filter(period_type="Q")
    assert quarters["revenue"].to_list() == values
    assert known(rows, "FY", "2020-12-31", "revenue") == known(rows, "TTM", "2020-12-31", "revenue") == sum(values)
