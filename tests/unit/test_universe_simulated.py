"""The simulated market's reference answers and bars through both rooms, against the generator's own account."""

from __future__ import annotations

import dataclasses
import json
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from closingbell.prices import compute as prices
from closingbell.prices import parse as prices_parse
from closingbell.sandbox.market import Market
from closingbell.sessions import NEW_YORK, close_of, sessions_between
from closingbell.universe import compute, parse

NOW = close_of(date(2025, 12, 5)) + timedelta(hours=16)
TODAY = NOW.astimezone(NEW_YORK).date()


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(seed=7, companies=40)


def page(results: object) -> bytes:
    return json.dumps({"status": "OK", "request_id": "x", "results": results}).encode()


def known_universe(market: Market, now: datetime, before: compute.Universe | None = None) -> compute.Universe:
    vendors, day = market.vendors, now.astimezone(NEW_YORK).date()
    pages = [parse.polygon_tickers(page(vendors.tickers(active, now))) for active in (True, False)]
    listed = pl.concat(pages)
    details = pl.concat(
        [
            parse.ticker_details(page(vendors.details(ticker, day, now)), on=day)
            for ticker in listed.filter("active")["ticker"]
        ]
    )
    events = pl.concat(
        [parse.ticker_events(page(vendors.events(ticker, now))) for ticker in listed.filter("active")["ticker"]]
    )
    return compute.securities(
        compute.listings(polygon=listed, details=details),
        before.securities if before else pl.DataFrame(schema=compute.SECURITIES),
        before.ticker_history if before else pl.DataFrame(schema=compute.TICKER_HISTORY),
        on=day,
        events=events,
    )


@pytest.fixture(scope="module")
def universe(market: Market) -> compute.Universe:
    return known_universe(market, NOW)


def test_securities_equal_the_generators(market, universe):
    truth = market.truth.securities(NOW)
    columns = ["cik", "figi", "share_class", "type", "shares_per_base", "last_session"]
    found = universe.securities.sort("cik", "figi").select(columns)
    assert found.equals(truth.select(columns), null_equal=True)
    listed = truth.filter(pl.col("last_session").is_null())
    both = universe.class_shares.join(universe.securities, on="security_id").sort("cik", "figi")
    assert both["shares"].to_list() == listed["class_shares"].to_list()
    assert set(both["valid_from"]) == {TODAY}


def test_every_bar_of_every_year_goes_to_the_security_that_traded(market, universe):
    figis = dict(universe.securities.select("security_id", "figi").rows())
    for session in (date(2022, 1, 3), date(2023, 5, 19), date(2023, 6, 9), date(2023, 6, 12), date(2023, 9, 14), TODAY):
        if not sessions_between(session, session):
            continue
        results = market.vendors.grouped_daily(session, NOW)
        count = len(results)
        counts = {"adjusted": False, "queryCount": count, "resultsCount": count}
        body = json.dumps({**counts, "status": "OK", "request_id": "x", "results": results}).encode()
        parsed = prices_parse.polygon_grouped_daily(body, answered_on=TODAY, session=session)
        mapped = prices.stock_prices(parsed.bars, universe.ticker_history, final=True)
        truth = market.truth.bars(session)
        found = mapped.rows.with_columns(pl.col("security_id").replace_strict(figis).alias("figi")).sort("figi")
        columns = ["figi", "open", "high", "low", "close", "volume"]
        assert found.select(columns).equals(truth.sort("figi").select(columns)), session
        assert mapped.unmapped.height == 1, "the market's garbage ticker"


def test_actions_equal_the_generators_whatever_ticker_they_stand_under(market, universe):
    first, last = date(2022, 1, 3), date(2025, 12, 5)
    raw = pl.concat(
        [
            prices_parse.polygon_splits(page(market.vendors.splits(first, last, NOW))).actions,
            prices_parse.polygon_dividends(page(market.vendors.dividends(first, last, NOW))).actions,
        ]
    )
    mapped = prices.corporate_actions(raw, universe.ticker_history)
    assert mapped.unmapped.is_empty()
    assert mapped.problems.is_empty()
    figis = dict(universe.securities.select("security_id", "figi").rows())
    columns = ["figi", "ex_date", "kind", "numerator", "denominator", "amount"]
    found = mapped.rows.with_columns(pl.col("security_id").replace_strict(figis).alias("figi")).select(columns)
    truth = market.truth.actions(NOW).filter(pl.col("ex_date").is_between(first, last)).select(columns)
    assert found.sort(columns).equals(truth.sort(columns), null_equal=True)


def test_a_universe_loaded_every_year_ends_as_one_loaded_at_once(market, universe):
    """Renames, the re-used ticker and delistings are met as they happen, and again with all that is known today."""
    before = None
    for year in (2022, 2023, 2024, 2025):
        after = known_universe(market, datetime(year, 6, 30, 20, tzinfo=NEW_YORK), before)
        if before is not None:
            securities = pl.concat([after.securities, before.securities]).unique("security_id", keep="first")
            history = pl.concat([after.ticker_history, before.ticker_history])
            history = history.unique(["ticker", "valid_from"], keep="first")
            history = history.sort("ticker", "valid_from")
            after = dataclasses.replace(after, securities=securities, ticker_history=history)
        before = after
    last = known_universe(market, NOW, before)
    for session in sessions_between(date(2022, 1, 3), TODAY)[::20]:
        expected = market.truth.ticker_on(session)
        for found in (last, universe):
            held = found.ticker_history.filter(
                (pl.col("valid_from") <= session) & (pl.col("valid_to").is_null() | (pl.col("valid_to") >= session))
            )
            ciks = dict(held.join(found.securities, on="security_id").select("ticker", "cik").rows())
            assert {ticker: ciks.get(ticker) for ticker in expected} == expected, session
