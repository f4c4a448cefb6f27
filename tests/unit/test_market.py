"""The simulated market: same seed same bytes, statements that add up, no look-ahead, every special case."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from closingbell.sandbox.market import Market, NotServed
from closingbell.sandbox.simulated import companies as made
from closingbell.sandbox.simulated.statements import filing_day, plan_filings

SIZES = (20, 40, 60)


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(seed=7, companies=40)


def fingerprint(size: int = 40) -> str:
    """A hash over one body of each kind."""
    market = Market(seed=7, companies=size)
    now = market.default_clock
    bodies = [
        market.companyfacts(market.cases["plain"], now),
        market.submissions(market.cases["amended_year"], now),
        market.grouped_daily(date(2025, 12, 4), now),
        market.polygon_dividends(date(2024, 1, 1), date(2024, 12, 31), now),
        market.company_tickers(now),
        market.yahoo_chart(market.cases["new_ticker"], date(2022, 1, 3), date(2025, 12, 5), now),
        market.sp500_csv(now),
        market.fortune500_csv(),
    ]
    return hashlib.sha256(json.dumps(bodies, sort_keys=True).encode()).hexdigest()


def test_same_seed_gives_the_same_bytes_in_another_process():
    script = "import tests.unit.test_market as t; print(t.fingerprint())"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ".:include", "PATH": ""},
        ).stdout.strip()
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1] == fingerprint()


def test_another_seed_gives_another_market(market):
    other = Market(seed=8, companies=40)
    assert other.company_tickers(other.default_clock) != market.company_tickers(market.default_clock)


def test_a_company_is_the_same_in_a_market_of_any_size(market):
    larger, now = Market(seed=7, companies=300), market.default_clock
    cik = market.cases["forward_split"]
    assert larger.companyfacts(cik, now) == market.companyfacts(cik, now)
    small = {bar["T"]: bar for bar in market.grouped_daily(date(2025, 12, 4), now)}
    large = {bar["T"]: bar for bar in larger.grouped_daily(date(2025, 12, 4), now)}
    assert small.items() <= large.items()


def test_a_large_market_makes_only_what_is_asked():
    market = Market(seed=7, companies=4600)
    market.companyfacts(market.cases["plain"], market.default_clock)
    assert len(market.registry._made) < 25
    assert not market.bars._blocks
    market.yahoo_chart(market.cases["new_ticker"], date(2025, 12, 1), date(2025, 12, 5), market.default_clock)
    assert list(market.bars._blocks) == [0]


@pytest.mark.parametrize("size", SIZES)
def test_every_special_case_is_there(size):
    market = Market(seed=7, companies=size)
    now, cases = market.default_clock, market.cases
    company = {name: market.company(value) for name, value in cases.items() if isinstance(value, int)}
    facts = {name: market.companyfacts(value, now)["facts"] for name, value in cases.items() if isinstance(value, int)}
    filings = {name: market.filings(c) for name, c in company.items()}

    assert "GrossProfit" not in facts["bank"]["us-gaap"]
    assert "AssetsCurrent" not in facts["bank"]["us-gaap"]
    assert "InventoryNet" not in facts["bank"]["us-gaap"]
    ends = company["weeks_52_53"].quarter_ends
    assert {end.weekday() for end in ends} == {5}
    assert {(ends[q] - ends[q - 4]).days for q in range(7, len(ends), 4)} == {364, 371}
    assert company["off_calendar_year"].fiscal_month == 1
    assert {"10-K/A"} <= {f.form for f in filings["amended_year"]}
    assert {"10-Q/A"} <= {f.form for f in filings["amended_quarter"]}
    days = [f.filed_on for f in filings["two_filings_one_day"] if f.quarter is not None]
    assert len(days) > len(set(days))
    assert {"Revenues", "RevenueFromContractWithCustomerExcludingAssessedTax"} <= set(facts["tag_change"]["us-gaap"])
    assert market.books(company["loss_making"]).true["net_income"].max() < 0
    assert market.books(company["negative_equity"]).true["equity"].max() < 0
    assert max(f.filed_on for f in filings["bankrupt"] if f.quarter is not None) < date(2023, 6, 1)
    assert company["bankrupt"].last_session == date(2023, 11, 17)
    assert company["acquired"].last_session == date(2023, 5, 19)
    assert [s.numerator / s.denominator for s in company["forward_split"].splits] == [2, 4, 10]
    assert [s.numerator / s.denominator for s in company["reverse_split"].splits] == [1 / 20]
    assert len(company["two_classes"].listings) == 2
    assert [listing.per_base for listing in company["class_ratio"].listings] == [1, 1500]
    assert [t for t, _, _ in company["ticker_change"].listings[0].tickers] == [cases["old_ticker"], cases["new_ticker"]]
    assert company["acquired"].listings[0].tickers[0][0] == cases["reused_ticker"]
    assert company["reuses_ticker"].listings[0].tickers[0][0] == cases["reused_ticker"]
    assert company["ipo"].first_session > market.first_session
    assert set(facts["ifrs"]) == {"dei", "ifrs-full"}
    assert company["dividends"].dividends
    assert {c.sector.name for c in map(market.company, market.ciks)} == {s.name for s in made.SECTORS}
    accepted = [f.accepted.astimezone(made.NEW_YORK) for fs in filings.values() for f in fs]
    assert any(a.hour < 16 for a in accepted)
    assert any(a.hour == 16 for a in accepted)
    assert any(a.date() != filing_day(a) for a in accepted)


@pytest.mark.parametrize("index", range(40))
def test_statements_add_up(market, index):
    books = market.books(market.registry[index])
    true, company = books.true, books.company
    assert (true["total_assets"] == true["total_liabilities"] + true["equity"]).all()
    change = true["operating_cash_flow"] + true["investing_cash_flow"] + true["financing_cash_flow"]
    assert (true["cash_change"] == change).all()
    assert (true["cash"][1:] - true["cash"][:-1] == change[1:]).all()
    assert (true["cash"] > 0).all()
    if not company.is_bank:
        assert (true["gross_profit"] == true["revenue"] - true["cost_of_revenue"]).all()
        assert (true["operating_income"] == true["gross_profit"] - true["operating_expenses"]).all()
        assert (true["current_assets"] < true["total_assets"]).all()
    assert (true["net_income"] == true["pretax_income"] - true["income_tax"]).all()
    retained = true["net_income"] - true["dividends_paid"] - true["buybacks"]
    assert (true["retained_earnings"][1:] - true["retained_earnings"][:-1] == retained[1:]).all()


def rows(market, cik, concept, now=None, taxonomy="us-gaap"):
    answer = market.companyfacts(cik, now or market.default_clock)
    return [row for unit in answer["facts"][taxonomy][concept]["units"].values() for row in unit]


def days(row):
    return (date.fromisoformat(row["end"]) - date.fromisoformat(row["start"])).days + 1


def test_a_quarterly_report_has_quarter_and_year_to_date_and_cash_flows_only_year_to_date(market):
    cik = market.cases["plain"]
    income = rows(market, cik, "NetIncomeLoss")
    cash = rows(market, cik, "NetCashProvidedByUsedInOperatingActivities")
    third = {days(row) // 80 for row in income if row["fp"] == "Q3"}
    assert third == {1, 3}
    assert {days(row) // 80 for row in cash if row["fp"] == "Q3"} == {3}
    assert {days(row) // 80 for row in income if row["form"] == "10-K"} == {4}  # no fourth quarter is reported
    assert len({row["end"] for row in income if row["accn"] == income[-1]["accn"]}) == 2  # with last year's


def test_shares_and_earnings_a_share_are_on_the_split_basis_of_their_filing(market):
    cik = market.cases["forward_split"]  # 10 for 1 on 2024-06-10
    shown = {
        row["filed"]: row["val"]
        for row in rows(market, cik, "CommonStockSharesOutstanding")
        if row["end"] == "2023-12-31"
    }
    before = [value for filed, value in shown.items() if filed < "2024-06-10"]
    after = [value for filed, value in shown.items() if filed >= "2024-06-10"]
    assert before
    assert after
    assert {value * 10 for value in before} == set(after)


def test_a_restated_year_differs_between_its_filings(market):
    cik = market.cases["restated_comparative"]
    revenue = [row for row in rows(market, cik, "RevenueFromContractWithCustomerExcludingAssessedTax")
               if row["start"] == "2023-01-01" and row["end"] == "2023-12-31"]  # fmt: skip
    first, later = revenue[0], revenue[-1]
    assert first["form"] == later["form"] == "10-K"
    assert first["val"] > later["val"]


@pytest.mark.parametrize(("case", "form"), [("amended_year", "10-K/A"), ("amended_quarter", "10-Q/A")])
def test_an_amendment_changes_net_income(market, case, form):
    found = rows(market, market.cases[case], "NetIncomeLoss")
    amended = next(row for row in found if row["form"] == form)
    original = next(
        row
        for row in found
        if row["form"] == form[:4] and (row["start"], row["end"]) == (amended["start"], amended["end"])
    )
    changed = [row for row in found if row["form"] == form and row["end"][:4] == "2023"]
    assert any(
        row["val"]
        != next(
            r["val"] for r in found if r["form"] == form[:4] and (r["start"], r["end"]) == (row["start"], row["end"])
        )
        for row in changed
    )
    assert original["filed"] <= amended["filed"]


CLOCKS = [
    datetime(2019, 3, 1, 21, tzinfo=UTC),
    datetime(2022, 8, 24, 22, tzinfo=UTC),
    datetime(2024, 2, 20, 15, tzinfo=UTC),
]


@pytest.mark.parametrize("now", CLOCKS)
def test_nothing_later_than_the_clock_is_served(market, now):
    for cik in market.ciks:
        try:
            facts = market.companyfacts(cik, now)["facts"]
        except NotServed:
            continue
        accepted = {f.accession_no: f.accepted for f in market.filings(market.company(cik))}
        for concepts in facts.values():
            for concept in concepts.values():
                for unit in concept["units"].values():
                    assert all(accepted[row["accn"]] <= now for row in unit)
        recent = market.submissions(cik, now)["filings"]["recent"]
        assert all(datetime.fromisoformat(text) <= now for text in recent["acceptanceDateTime"])
    assert all(split["execution_date"] <= str(now.date() + timedelta(days=40))
               for split in market.polygon_splits(date(2014, 1, 1), date(2026, 1, 1), now))  # fmt: skip


def test_facts_known_earlier_stay(market):
    """A later clock adds facts and takes none away (frames move, as at SEC)."""

    def known(now):
        return {(concept, unit, row.get("start"), row["end"], row["accn"], row["val"])
                for concept, entry in market.companyfacts(market.cases["amended_year"], now)["facts"]["us-gaap"].items()
                for unit, rows_ in entry["units"].items() for row in rows_}  # fmt: skip

    earlier, later = known(CLOCKS[0]), known(CLOCKS[2])
    assert earlier < later


def test_no_bar_before_the_close_and_its_delay(market):
    session, close = date(2025, 12, 4), market.close(date(2025, 12, 4))
    assert market.grouped_daily(session, close + timedelta(minutes=14)) == []
    assert market.grouped_daily(session, close + timedelta(minutes=15))
    assert market.grouped_daily(date(2025, 12, 6), market.default_clock) == []  # a Saturday


def test_bars_of_the_evening_are_corrected_by_the_next_morning(market):
    session = market.last_session
    evening = {bar["T"]: bar for bar in market.grouped_daily(session, market.default_clock)}
    morning = {bar["T"]: bar for bar in market.grouped_daily(session, datetime(2025, 12, 6, 12, 0, tzinfo=UTC))}
    assert evening.keys() == morning.keys()
    assert 0 < sum(evening[t]["c"] != morning[t]["c"] for t in morning) < len(morning) / 2
    assert sum(evening[t]["v"] != morning[t]["v"] for t in morning) > 1
    assert market.grouped_daily(session, datetime(2025, 12, 6, 11, 59, tzinfo=UTC)) == market.grouped_daily(
        session, market.default_clock
    )


def test_bars_are_sane_but_for_the_garbage_ticker(market):
    for session in (date(2022, 1, 3), date(2022, 8, 25), date(2024, 6, 10)):
        bars = market.grouped_daily(session, market.default_clock)
        assert sum(bar["T"] == market.cases["garbage_ticker"] for bar in bars) == 1
        for bar in bars:
            if bar["T"] != market.cases["garbage_ticker"]:
                assert 0 < bar["l"] <= min(bar["o"], bar["c"]) <= max(bar["o"], bar["c"]) <= bar["h"]
                assert bar["l"] <= bar["vw"] <= bar["h"]
                assert bar["v"] > 0


def test_a_split_divides_the_traded_price_and_not_yahoos(market):
    company = market.company(market.cases["forward_split"])
    ticker, now = company.listings[0].tickers[0][0], market.default_clock
    raw = {row["date"][:10]: row for row in market.tiingo_prices(ticker, date(2024, 6, 1), date(2024, 6, 14), now)}
    before, after = raw["2024-06-07"], raw["2024-06-10"]
    assert after["splitFactor"] == 10
    assert 7 < before["close"] / after["close"] < 14
    assert 0.7 < before["adjClose"] / after["adjClose"] < 1.4
    quote = market.yahoo_chart(ticker, date(2024, 6, 7), date(2024, 6, 10), now)["chart"]["result"][0]
    assert quote["events"]["splits"]
    assert quote["indicators"]["quote"][0]["close"][0] == pytest.approx(before["close"] / 10, abs=1e-5)


def test_an_unannounced_split_is_not_served(market):
    before = market.polygon_splits(date(2024, 6, 1), date(2024, 6, 30), datetime(2024, 5, 22, 10, 0, tzinfo=UTC))
    after = market.polygon_splits(date(2024, 6, 1), date(2024, 6, 30), datetime(2024, 5, 22, 12, 0, tzinfo=UTC))
    assert [s["ticker"] for s in after if s not in before] == [
        market.company(market.cases["forward_split"]).listings[0].tickers[0][0]
    ]


def test_a_dividend_is_what_the_cash_flow_statement_paid(market):
    company = market.company(market.cases["dividends"])
    dividend = company.dividends[-1]
    paid = int(market.books(company).true["dividends_paid"][dividend.quarter])
    assert paid == pytest.approx(dividend.amount * company.shares_at(dividend.ex_date), abs=1000)


def test_a_class_with_a_ratio_trades_at_its_ratio(market):
    bars = {bar["T"]: bar for bar in market.grouped_daily(date(2025, 6, 10), market.default_clock)}
    ratio = bars[market.cases["class_a_ticker"]]["c"] / bars[market.cases["class_b_ticker"]]["c"]
    assert ratio == pytest.approx(1500, rel=0.01)
    details = [
        market.ticker_details(market.cases[name], None, market.default_clock)
        for name in ("class_a_ticker", "class_b_ticker")
    ]
    assert details[1]["weighted_shares_outstanding"] / details[0]["weighted_shares_outstanding"] == pytest.approx(
        1500, rel=1e-4
    )


def test_a_reused_ticker_means_its_holder_of_the_day(market):
    ticker, now = market.cases["reused_ticker"], market.default_clock
    assert int(market.ticker_details(ticker, date(2022, 6, 1), now)["cik"]) == market.cases["acquired"]
    assert int(market.ticker_details(ticker, None, now)["cik"]) == market.cases["reuses_ticker"]
    prices = market.tiingo_prices(ticker, date(2022, 1, 3), date(2025, 12, 5), now)
    assert prices[0]["date"].startswith("2023-09-14")


def test_a_renamed_ticker_trades_under_each_name_in_its_time(market):
    old, new = market.cases["old_ticker"], market.cases["new_ticker"]
    earlier = {bar["T"] for bar in market.grouped_daily(date(2023, 6, 9), market.default_clock)}
    later = {bar["T"] for bar in market.grouped_daily(date(2023, 6, 12), market.default_clock)}
    assert old in earlier - later
    assert new in later - earlier
    assert [e["ticker_change"]["ticker"] for e in market.ticker_events(new, market.default_clock)["events"]] == [
        new,
        old,
    ]


def test_a_delisted_company_leaves_the_lists_and_keeps_its_facts(market):
    now, cik = market.default_clock, market.cases["bankrupt"]
    assert cik not in {row["cik_str"] for row in market.company_tickers(now).values()}
    assert f"{cik:010d}" in {row["cik"] for row in market.polygon_tickers(False, now)}
    assert f"{cik:010d}" not in {row["cik"] for row in market.polygon_tickers(True, now)}
    assert market.companyfacts(cik, now)["facts"]
    ticker = market.company(cik).listings[0].tickers[0][0]
    assert market.yahoo_chart(ticker, date(2022, 1, 3), date(2025, 1, 1), now)["chart"]["error"]["code"] == "Not Found"


def test_an_illiquid_stock_has_days_without_a_bar(market):
    company = market.company(market.cases["illiquid"])
    bars = market.bars.series(company.listings[0], date(2024, 1, 1), date(2024, 12, 31))
    assert 150 < len(bars) < 220  # of 252 sessions


def test_returns_are_correlated_and_have_fat_tails(market):
    import numpy as np

    close = market.bars.block(0)["close"][:, [0, 2, 3, 4, 5, 7, 8, 9, 13]]
    returns = np.diff(np.log(close), axis=0)
    assert np.corrcoef(returns.T)[np.triu_indices(9, 1)].mean() > 0.1
    standard = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    assert (standard**4).mean() > 4  # 3 for a normal distribution


def test_filing_date_is_the_next_business_day_after_half_past_five(market):
    for cik in market.ciks:
        for filing in market.filings(market.company(cik)):
            local = filing.accepted.astimezone(made.NEW_YORK)
            late = (local.hour, local.minute) > (17, 30)
            assert (filing.filed_on > local.date()) == late


def test_daily_index_lists_each_filing_of_its_day_once_it_is_out(market):
    company = market.company(market.cases["plain"])
    filing = next(f for f in market.filings(company) if f.form == "10-K")
    with pytest.raises(NotServed):
        market.daily_index(filing.filed_on, filing.accepted)
    text = market.daily_index(filing.filed_on, market.default_clock)
    assert f"edgar/data/{company.cik}/{filing.accession_no}.txt" in text


def test_a_year_of_the_daily_index_is_the_whole_plan_of_that_year(market):
    for cik in market.ciks:
        company = market.company(cik)
        for year in range(2014, 2026):
            whole = [filing for filing in market.filings(company) if filing.filed_on.year == year]
            assert list(plan_filings(company, year)[0]) == whole


def test_submissions_page_holds_what_the_first_answer_leaves_out(market):
    cik, now = market.cases["plain"], market.default_clock
    answer = market.submissions(cik, now)
    page = market.submissions_page(answer["filings"]["files"][0]["name"], now)
    numbers = answer["filings"]["recent"]["accessionNumber"] + page["accessionNumber"]
    assert numbers == [f.accession_no for f in market.filings(market.company(cik)) if f.accepted <= now][::-1]
    assert answer["filings"]["files"][0]["filingCount"] == len(page["accessionNumber"])


def test_unknown_keys_are_not_served(market):
    with pytest.raises(NotServed):
        market.companyfacts(320193, market.default_clock)
    with pytest.raises(NotServed):
        market.ticker_details("NOSUCH", None, market.default_clock)
