"""The simulated market's ground truth: an account of its own, as known at a moment."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from closingbell.fundamentals import compute, filings, parse
from closingbell.sandbox.market import Market

MOMENTS = [
    datetime(2022, 8, 24, 20, tzinfo=UTC),  # the close before a 4 for 1 split
    datetime(2024, 6, 20, 20, tzinfo=UTC),  # after a 10 for 1 split, a recast and two amendments
    datetime(2025, 12, 5, 21, tzinfo=UTC),
]


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(seed=7, companies=24)


def row(frame: pl.DataFrame, end: date, kind: str) -> dict:
    return frame.row(by_predicate=(pl.col("period_end") == end) & (pl.col("period_type") == kind), named=True)


def test_a_year_is_its_quarters_and_the_trailing_year(market):
    known = market.truth.statements(MOMENTS[2], [market.cases["plain"]])
    year = row(known, date(2024, 12, 31), "FY")
    quarters = [row(known, end, "Q") for end in
                (date(2024, 3, 31), date(2024, 6, 30), date(2024, 9, 30), date(2024, 12, 31))]  # fmt: skip
    for figure in ("revenue", "net_income", "operating_cash_flow", "capex", "free_cash_flow", "dividends_paid"):
        assert sum(quarter[figure] for quarter in quarters) == year[figure]
        assert row(known, date(2024, 12, 31), "TTM")[figure] == year[figure]
    assert quarters[3]["eps_diluted"] is None  # never by subtraction
    assert quarters[3]["total_assets"] == year["total_assets"]
    assert year["total_assets"] == year["total_liabilities"] + year["shareholders_equity"]
    assert year["gross_profit"] == year["revenue"] - year["cost_of_revenue"]
    trailing = row(known, date(2025, 6, 30), "TTM")
    last = [*quarters[2:], row(known, date(2025, 3, 31), "Q"), row(known, date(2025, 6, 30), "Q")]
    assert trailing["revenue"] == sum(quarter["revenue"] for quarter in last)
    assert trailing["eps_diluted"] is None


def test_the_fourth_quarter_stays_on_the_last_consistent_pair(market):
    """Only the year is amended (10-K/A); its nine months are shown again, unchanged, with the next third quarter."""
    company = market.company(market.cases["amended_year"])
    amended = next(f for f in market.filings(company) if f.form == "10-K/A")
    end = company.quarter_ends[amended.quarter]
    excess = market.books(company).mistakes[0].excess["net_income"]
    third = next(f for f in market.filings(company) if f.quarter == amended.quarter + 3)
    before, after, later = (market.truth.statements(at, [company.cik])
                            for at in (amended.accepted.replace(hour=1), amended.accepted, third.accepted))  # fmt: skip
    assert row(before, end, "FY")["net_income"] - row(after, end, "FY")["net_income"] == excess > 0
    assert row(before, end, "Q")["net_income"] == row(after, end, "Q")["net_income"]
    assert row(after, end, "Q")["net_income"] - row(later, end, "Q")["net_income"] == excess
    assert row(before, end, "Q")["total_liabilities"] < row(after, end, "Q")["total_liabilities"]


def test_a_late_restatement_of_an_old_year_leaves_the_newest_alone(market):
    company = market.company(market.cases["restated_comparative"])
    books = market.books(company)
    corrected = books.mistakes[0].corrected
    annual = next(f for f in books.filings if f.quarter == books.mistakes[-1].quarter + 4)
    end = company.quarter_ends[books.mistakes[-1].quarter]
    early, late = (market.truth.statements(at, [company.cik]) for at in (corrected, annual.accepted))
    cut = sum(mistake.excess["revenue"] for mistake in books.mistakes)
    assert row(early, end, "FY")["revenue"] - row(late, end, "FY")["revenue"] == cut > 0
    newest = company.quarter_ends[annual.quarter]
    assert row(late, newest, "FY")["revenue"] == books.true["revenue"][annual.quarter - 3 : annual.quarter + 1].sum()


def test_missing_is_null(market):
    bank = market.truth.statements(MOMENTS[2], [market.cases["bank"]])
    for figure in ("gross_profit", "inventory", "current_assets", "capex", "free_cash_flow", "current_ratio", "roic"):
        assert bank[figure].null_count() == bank.height
    assert bank["revenue"].null_count() < bank.height
    deficit = market.truth.statements(MOMENTS[2], [market.cases["negative_equity"]]).filter(
        pl.col("shareholders_equity") < 0
    )
    assert deficit.height
    assert deficit["roe"].null_count() == deficit["debt_to_equity"].null_count() == deficit.height


def test_what_is_known_grows_and_never_shrinks(market):
    earlier, later = (market.truth.statements(at) for at in MOMENTS[:2])
    keys = ["cik", "period_end", "period_type"]
    assert earlier.join(later, on=keys, how="anti").is_empty()
    assert later.height > earlier.height
    assert earlier.filter(pl.struct(keys).is_duplicated()).is_empty()
    assert not any(later[name].is_nan().any() for name in later.columns[3:])


def test_the_statement_room_comes_to_the_same_values(market):
    """Two ways to one number: the room reads the vendor's bodies, the truth the generator's own quarters."""
    facts, known = [], []
    for cik in market.ciks:
        facts.append(parse.companyfacts(json.dumps(market.companyfacts(cik, market.default_clock)).encode()))
        answer = market.submissions(cik, market.default_clock)
        known.append(filings.parse_submissions(json.dumps(answer).encode()).filings)
        for page in answer["filings"]["files"]:
            body = json.dumps(market.submissions_page(page["name"], market.default_clock)).encode()
            known.append(filings.parse_page(body, cik=cik).filings)
    rows = compute.statements(parse.with_known_at(pl.concat(facts), pl.concat(known)))
    keys = ["cik", "period_type", "period_end"]
    for moment in MOMENTS:
        want = market.truth.statements(moment).sort(keys)
        got = compute.as_of(rows, moment).select(want.columns).sort(keys)
        assert_frame_equal(got, want, rel_tol=1e-9, abs_tol=0)


def test_final_and_provisional_bars_are_what_the_vendor_serves_at_its_times(market):
    session = market.last_session
    for frame, now in ((market.truth.provisional_bars(session), market.default_clock),
                       (market.truth.bars(session), datetime(2025, 12, 6, 13, tzinfo=UTC))):  # fmt: skip
        served = {bar["T"]: bar for bar in market.grouped_daily(session, now)}
        served.pop(market.cases["garbage_ticker"])
        assert frame["ticker"].to_list() == sorted(served)
        for bar in frame.iter_rows(named=True):
            assert [bar[name] for name in ("open", "high", "low", "close", "volume")] == [
                served[bar["ticker"]][key] for key in "ohlcv"
            ]


def test_securities_and_tickers_of_their_time(market):
    early = market.truth.securities(datetime(2023, 5, 1, tzinfo=UTC))
    late = market.truth.securities(MOMENTS[2])
    acquired = pl.col("cik") == market.cases["acquired"]
    assert early.filter(acquired)["last_session"].to_list() == [None]
    assert late.filter(acquired)["last_session"].to_list() == [date(2023, 5, 19)]
    assert late.filter(acquired)["ticker"].to_list() == [None]
    assert market.cases["reuses_ticker"] not in early["cik"].to_list()
    assert market.truth.ticker_on(date(2022, 6, 1))[market.cases["reused_ticker"]] == market.cases["acquired"]
    assert market.truth.ticker_on(date(2024, 6, 3))[market.cases["reused_ticker"]] == market.cases["reuses_ticker"]
    changes = market.truth.tickers(MOMENTS[2]).filter(pl.col("cik") == market.cases["ticker_change"]).sort("valid_from")
    assert changes["ticker"].to_list() == [market.cases["old_ticker"], market.cases["new_ticker"]]
    assert changes["valid_to"].to_list() == [date(2023, 6, 11), None]
    assert set(market.truth.sectors().values()) >= {"Financials", "Energy", "Real Estate"}


def test_actions_are_those_announced(market):
    split = (pl.col("kind") == "split") & (pl.col("cik") == market.cases["forward_split"])
    assert market.truth.actions().filter(split)["numerator"].to_list() == [2.0, 4.0, 10.0]
    assert market.truth.actions(datetime(2024, 1, 1, tzinfo=UTC)).filter(split)["numerator"].to_list() == [2.0, 4.0]
