"""Market value over share classes and split bases, and what has no ratio."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from closingbell.fundamentals.compute import STALE_AFTER_DAYS, STALE_YEAR_AFTER_DAYS
from closingbell.prices.valuation import VALUATION_RATIOS, valuation_ratios
from closingbell.universe.compute import CLASS_SHARES, SECURITIES

SESSION = date(2024, 6, 10)
FINANCIALS = {
    "cik": pl.Int64, "period_end": pl.Date, "period_type": pl.String, "known_on": pl.Date, "currency": pl.String,
    "revenue": pl.Float64, "net_income": pl.Float64, "shareholders_equity": pl.Float64,
    "shares_outstanding": pl.Float64,
}  # fmt: skip
NO_SPLITS = pl.DataFrame(
    schema={"security_id": pl.Int64, "ex_date": pl.Date, "numerator": pl.Float64, "denominator": pl.Float64}
)


def closes(prices: dict[int, float], adjusted_as_of: date | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {"security_id": list(prices), "session": [SESSION] * len(prices), "close": list(prices.values())},
        schema={"security_id": pl.Int64, "session": pl.Date, "close": pl.Float64},
    ).with_columns(pl.lit(adjusted_as_of, dtype=pl.Date).alias("adjusted_as_of"))


def security(security_id: int, **more) -> dict:
    row = {"security_id": security_id, "cik": security_id // 1000, "name": "X", "type": "CS", "shares_per_base": 1.0}
    row["type_inferred"] = False
    return {**row, **more}


def securities(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SECURITIES)


def counts(*rows: tuple[int, date, float]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=CLASS_SHARES, orient="row")


def statements(cik: int = 1, known_on: date = date(2024, 5, 1), **more) -> pl.DataFrame:
    values = {
        "currency": "USD", "revenue": 400.0, "net_income": 100.0, "shareholders_equity": 500.0,
        "shares_outstanding": 50.0, "period_end": date(2024, 3, 31), **more,
    }  # fmt: skip
    return pl.DataFrame(
        [
            {"cik": cik, "period_type": "Q", "known_on": known_on, **values, "revenue": 1.0, "net_income": 1.0},
            {"cik": cik, "period_type": "TTM", "known_on": known_on, **values, "shares_outstanding": None},
        ],
        schema=FINANCIALS,
    )


def splits(*rows: tuple[int, date, float, float]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=NO_SPLITS.schema, orient="row")


def value(
    prices, held, known, split=NO_SPLITS, class_shares=None, receipt_issuers=(), **more
) -> tuple[dict, dict[str, str]]:
    priced = closes(prices, **more)
    found = valuation_ratios(
        priced, held, known, split, session=SESSION, class_shares=class_shares, receipt_issuers=receipt_issuers
    )
    assert found.ratios.schema == VALUATION_RATIOS
    row = found.ratios.row(0, named=True)
    reasons = found.reasons.filter(pl.col("security_id") == row["security_id"])
    return row, dict(reasons.select("value", "reason").rows())


def test_ratios_are_of_market_value_against_ttm_and_the_newest_balance():
    row, reasons = value({1001: 20.0}, securities(security(1001)), statements())
    # 50 shares at 20 are 1,000; TTM net income 100, equity 500, TTM revenue 400
    assert row["market_cap"] == 1000
    assert (row["pe_ratio"], row["pb_ratio"], row["ps_ratio"]) == (10, 2, 2.5)
    assert (row["earnings_yield"], row["book_yield"], row["sales_yield"]) == (0.1, 0.5, 0.4)
    assert (row["statement_period_end"], row["statement_known_on"]) == (date(2024, 3, 31), date(2024, 5, 1))
    assert reasons == {}


def test_a_balance_without_twelve_months_says_how_old_its_book_yield_is():
    """A newly listed company: one quarter filed. Without a period end the score would take the yield for stale."""
    row, reasons = value({1001: 20.0}, securities(security(1001)), statements().filter(period_type="Q"))
    assert (row["market_cap"], row["pb_ratio"], row["book_yield"]) == (1000, 2, 0.5)
    assert (row["statement_period_end"], row["statement_known_on"]) == (date(2024, 3, 31), date(2024, 5, 1))
    assert set(reasons) == {"earnings_yield", "sales_yield"}


def test_negative_earnings_have_a_yield_and_no_pe():
    row, reasons = value(
        {1001: 20.0}, securities(security(1001)), statements(net_income=-100.0, shareholders_equity=-5.0)
    )
    assert row["pe_ratio"] is None
    assert row["earnings_yield"] == -0.1
    assert row["pb_ratio"] is None
    assert row["book_yield"] == -0.005
    assert reasons == {"pe_ratio": "net_income is not positive", "pb_ratio": "shareholders_equity is not positive"}


def test_shares_filed_before_a_split_are_counted_on_the_sessions_basis():
    """NVDA's 10-Q of 2024-05-29 has 2,460M shares; 10 for 1 on 2024-06-10; 121.79 that day: 2,996 billion, not 300."""
    known = statements(known_on=date(2024, 5, 29), shares_outstanding=2460e6)
    row, _ = value({1001: 121.79}, securities(security(1001)), known, splits((1001, SESSION, 10, 1)))
    assert row["shares_outstanding"] == 24600e6
    assert row["market_cap"] == pytest.approx(2996.034e9)
    # a split before the filing is in its numbers already, one after the session is not there yet
    row, _ = value(
        {1001: 121.79},
        securities(security(1001)),
        known,
        splits((1001, date(2021, 7, 20), 4, 1), (1001, date(2024, 7, 1), 2, 1)),
    )
    assert row["shares_outstanding"] == 2460e6


def test_googl_and_goog_both_show_the_market_value_of_all_classes():
    """Alphabet 2024-06: 5,874M class A, 867M class B (unlisted), 5,617M class C: 12,358M shares in the statement."""
    held = securities(security(1652044001, share_class="C"), security(1652044002, share_class="A"))
    spring = date(2024, 4, 1)
    found = valuation_ratios(
        closes({1652044001: 177.0, 1652044002: 175.0}),
        held,
        statements(cik=1652044, shares_outstanding=12358e6),
        NO_SPLITS,
        session=SESSION,
        class_shares=counts((1652044001, spring, 5617e6), (1652044002, spring, 5874e6)),
    )
    mean = (5617e6 * 177 + 5874e6 * 175) / (5617e6 + 5874e6)
    assert found.ratios["market_cap"].to_list() == [pytest.approx(12358e6 * mean)] * 2
    assert found.ratios["close"].to_list() == [177.0, 175.0]


BERKSHIRES = securities(
    security(1067983001, share_class="A", shares_per_base=1500.0), security(1067983002, share_class="B")
)
BERKSHIRE = {"cik": 1067983, "net_income": 96.2e9, "shareholders_equity": 561e9, "revenue": 364e9}
"""Of 2023; 1,449,000 class A equivalents are 2,173.5 million class B."""


@pytest.mark.parametrize("counted", [2.1735e9, 1_449_000.0])
@pytest.mark.parametrize(
    "prices", [{1067983001: 615_000.0, 1067983002: 410.0}, {1067983001: 615_000.0}, {1067983002: 410.0}]
)
def test_berkshires_classes_count_by_their_ratio(counted, prices):
    """One class A share converts into 1,500 class B: at 615,000 and 410 both are worth 410 a base share.

    Its averages and its 66,412 dollars a share are of class A equivalents: 0.6 billion dollars at the price of class B.
    """
    row, reasons = value(prices, BERKSHIRES, statements(**BERKSHIRE, shares_outstanding=counted))
    assert (row["shares_outstanding"], row["market_cap"]) == (2.1735e9, pytest.approx(2.1735e9 * 410))
    assert (row["pe_ratio"], reasons) == (pytest.approx(9.26, rel=1e-2), {})


def test_the_classes_own_shares_tell_which_class_a_statement_counts():
    spring = counts((1067983001, date(2024, 4, 1), 570_000.0), (1067983002, date(2024, 4, 1), 1.31e9))
    unsized = statements(cik=1067983, shareholders_equity=None, revenue=None, shares_outstanding=1_449_000.0)
    prices = {1067983001: 615_000.0, 1067983002: 410.0}
    assert value(prices, BERKSHIRES, unsized, class_shares=spring)[0]["market_cap"] == pytest.approx(2.1735e9 * 410)
    row, reasons = value(prices, BERKSHIRES, unsized)
    assert (row["shares_outstanding"], row["market_cap"]) == (None, None)
    assert reasons["market_cap"] == "nothing tells which class its statements count"


def test_without_a_statements_count_the_classes_own_shares_are_summed():
    held = securities(security(1001, share_class="A"), security(1002, share_class="B"))
    spring = counts((1001, date(2024, 4, 1), 30.0), (1002, date(2024, 4, 1), 10.0))
    known, split = statements(shares_outstanding=None), splits((1001, date(2024, 5, 1), 2, 1))
    row, _ = value({1001: 10.0, 1002: 12.0}, held, known, split, spring)
    assert row["market_cap"] == 60 * 10 + 10 * 12
    # counts of a later day are not known on the session
    summer = spring.with_columns(valid_from=pl.lit(date(2024, 7, 1)), shares=pl.col("shares") * 7)
    row, reasons = value({1001: 10.0, 1002: 12.0}, held, known, split, summer)
    assert row["market_cap"] is None
    assert "no shares outstanding" in reasons["market_cap"]
    # ... and change nothing of what it was valued at
    row, _ = value({1001: 10.0, 1002: 12.0}, held, known, split, pl.concat([summer, spring]))
    assert row["market_cap"] == 60 * 10 + 10 * 12


@pytest.mark.parametrize("prices", [{1067983001: 615_000.0}, {1067983002: 410.0}])
def test_a_class_without_a_bar_stays_in_the_market_value(prices):
    """Berkshire, no count in its statements: 567,000 class A and 1,310 million class B are 2,160.5 million class B.

    The class B alone were 537 billion dollars and a P/E of 5.6.
    """
    uncounted = statements(**BERKSHIRE, shares_outstanding=None)
    spring = counts((1067983001, date(2024, 4, 1), 567_000.0), (1067983002, date(2024, 4, 1), 1.31e9))
    row, reasons = value(prices, BERKSHIRES, uncounted, class_shares=spring)
    assert (row["market_cap"], reasons) == (pytest.approx(2160.5e6 * 410), {})
    assert row["pe_ratio"] == pytest.approx(9.21, abs=0.01)
    for known in (spring.head(1), spring.tail(1)):
        row, reasons = value(prices, BERKSHIRES, uncounted, class_shares=known)
        assert (row["market_cap"], row["pe_ratio"]) == (None, None)
        assert "nor of each listed class" in reasons["market_cap"]
    # one that is delisted by the session, or is not listed yet, is no part of the company
    gone = BERKSHIRES.with_columns(
        pl.when(pl.col("security_id").is_in(list(prices))).then(None).otherwise(date(2024, 6, 7)).alias("last_session")
    )
    to_come = gone.with_columns(first_session=pl.col("last_session") + pl.duration(days=7), last_session=None)
    alone = {1067983001: 567_000.0 * 615_000, 1067983002: 1.31e9 * 410}[next(iter(prices))]
    for held in (gone, to_come.cast(SECURITIES)):
        row, _ = value(prices, held, uncounted, class_shares=spring)
        assert row["market_cap"] == pytest.approx(alone)


def test_prices_adjusted_as_of_another_day_have_no_market_value():
    """Trap 22: shares of 2014 times a price on the basis of 2017."""
    held = securities(security(1001))
    row, reasons = value({1001: 20.0}, held, statements(), adjusted_as_of=date(2024, 6, 11))
    assert row["market_cap"] is None
    assert row["earnings_yield"] is None
    assert reasons == {"market_cap": "the close is adjusted as of 2024-06-11; shares are not"}
    row, _ = value({1001: 20.0}, held, statements(), adjusted_as_of=SESSION)
    assert row["market_cap"] == 1000


def test_statements_in_another_currency_have_no_ratio_to_dollars():
    row, reasons = value({1001: 20.0}, securities(security(1001)), statements(currency="EUR"))
    assert row["market_cap"] == 1000
    assert row["pe_ratio"] is None
    assert row["sales_yield"] is None
    assert reasons["earnings_yield"] == "statements are in EUR"


def test_an_adr_without_its_ratio_has_no_market_value():
    row, reasons = value({1001: 20.0}, securities(security(1001, type="ADRC")), statements())
    assert row["market_cap"] is None
    assert "ADR" in reasons["market_cap"]


def test_a_foreign_filers_share_that_no_vendor_types_has_no_market_value():
    """BP, 2024: 16.8 billion ordinary shares at the 35.10 dollars of an ADS, which is six of them."""
    known = statements(cik=313807, shares_outstanding=16.8e9)
    untyped = securities(security(313807001, type_inferred=True))
    row, reasons = value({313807001: 35.10}, untyped, known, receipt_issuers={313807})
    assert (row["market_cap"], row["book_yield"]) == (None, None)
    assert "20-F" in reasons["market_cap"]
    # a vendor's word, or filings like an American company's, are enough
    assert value({313807001: 35.10}, untyped, known)[0]["market_cap"] == 16.8e9 * 35.10
    typed = securities(security(313807001))
    assert value({313807001: 35.10}, typed, known, receipt_issuers={313807})[0]["market_cap"] == 16.8e9 * 35.10


def test_classes_of_inferred_types_have_a_mean_only_where_they_trade_alike():
    """HEICO, 2024-06: HEI 223, HEI.A 176; Fox: FOXA 34.50, FOX 32.00."""
    kin = {"type_inferred": True}
    held = securities(security(1001, **kin), security(1002, share_class="A", **kin))
    assert value({1001: 34.50, 1002: 32.00}, held, statements())[0]["market_cap"] == pytest.approx(50 * 33.25)
    row, reasons = value({1001: 223.0, 1002: 176.0}, held, statements())
    assert row["market_cap"] is None
    assert "apart" in reasons["market_cap"]
    known = counts((1001, date(2024, 4, 1), 20.0), (1002, date(2024, 4, 1), 30.0))
    assert value({1001: 223.0, 1002: 176.0}, held, statements(), class_shares=known)[0]["market_cap"] == pytest.approx(
        50 * (20 * 223 + 30 * 176) / 50
    )


def test_a_company_that_stopped_filing_has_no_ratios():
    """SunEdison's last quarter is of 2015-09-30: a quarter is stale after 200 days, a year's report after 500."""

    def at(days: int, *earlier: int) -> tuple[dict, dict[str, str]]:
        ends = [date.fromordinal(SESSION.toordinal() - days - back) for back in (0, *earlier)]
        known = pl.concat([statements(period_end=end, known_on=end) for end in ends])
        return value({1001: 20.0}, securities(security(1001)), known)

    row, reasons = at(STALE_AFTER_DAYS + 1, 91)
    assert row["market_cap"] is None
    assert row["statement_period_end"] is None
    assert "fresh enough" in reasons["market_cap"]
    assert at(STALE_AFTER_DAYS, 91)[0]["market_cap"] == 1000
    assert at(STALE_YEAR_AFTER_DAYS, 365)[0]["market_cap"] == 1000
    assert at(STALE_YEAR_AFTER_DAYS + 1, 365)[0]["market_cap"] is None


def test_shares_carried_over_from_an_older_filing_keep_its_split_basis():
    """A row known on 2024-05-01 whose share count is of February, with a 2:1 split in March."""
    held, march = securities(security(1001)), splits((1001, date(2024, 3, 11), 2, 1))
    february = statements().with_columns(pl.lit(date(2024, 2, 1)).alias("shares_filed_on"))
    assert value({1001: 20.0}, held, february, march)[0]["shares_outstanding"] == 100
    assert value({1001: 20.0}, held, statements(), march)[0]["shares_outstanding"] == 50


def test_a_missing_number_is_missing_not_zero():
    row, reasons = value({1001: 20.0}, securities(security(1001)), statements(revenue=None))
    assert row["ps_ratio"] is None
    assert row["sales_yield"] is None
    assert row["pe_ratio"] == 10
    assert set(reasons) == {"sales_yield"}


def test_funds_and_warrants_get_no_row_and_securities_without_company_no_value():
    held = securities(security(1001, type="ETF"), security(1002, type="WARRANT"), {**security(10**15), "cik": None})
    found = valuation_ratios(
        closes({1001: 1.0, 1002: 1.0, 10**15: 1.0}), held, statements(), NO_SPLITS, session=SESSION
    )
    assert found.ratios["security_id"].to_list() == [10**15]
    assert found.ratios["market_cap"].to_list() == [None]
