"""A vendor's answer is hostile until checked: one value of another kind is a ValueError that names the answer, never
another error, which would end the whole batch instead of this answer (`pipelines.base.parse_each`)."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closingbell.fundamentals import filings
from closingbell.fundamentals import parse as fundamentals
from closingbell.news import analyst
from closingbell.news import parse as news
from closingbell.prices import parse as prices
from closingbell.sandbox.market import Market
from closingbell.universe import parse as universe

NOW, FIRST, SESSION = datetime(2025, 12, 6, 1, tzinfo=UTC), date(2025, 11, 28), date(2025, 12, 5)

NEWS = datetime(2025, 12, 3, tzinfo=UTC)


@cache
def market() -> Market:
    return Market(companies=20)


def ticker() -> str:
    return str(next(iter(market().company_tickers(NOW).values()))["ticker"])


def page(results: Any, **more: Any) -> dict[str, Any]:
    return {"status": "OK", "request_id": "1", "results": results, **more}


def bars() -> dict[str, Any]:
    results = market().grouped_daily(SESSION, NOW)[:3]
    return page(results, adjusted=False, queryCount=len(results), resultsCount=len(results))


def facts() -> dict[str, Any]:
    """A few concepts of a company with their first facts: a tree small enough to walk."""
    answer = market().companyfacts(market().ciks[0], NOW)
    for concepts in answer["facts"].values():
        for name in list(concepts)[3:]:
            del concepts[name]
        for concept in concepts.values():
            concept["units"] = {unit: found[:2] for unit, found in concept["units"].items()}
    return answer


def submissions() -> dict[str, Any]:
    answer = market().submissions(market().ciks[0], NOW)
    answer["filings"]["recent"] = {name: column[:3] for name, column in answer["filings"]["recent"].items()}
    return answer


def chart() -> dict[str, Any]:
    answer = market().yahoo_chart(ticker(), FIRST, SESSION, NOW)
    stamp = answer["chart"]["result"][0]["timestamp"][0]
    answer["chart"]["result"][0]["events"] = {
        "dividends": {str(stamp): {"amount": 0.5, "date": stamp}},
        "splits": {str(stamp): {"date": stamp, "numerator": 2.0, "denominator": 1.0, "splitRatio": "2:1"}},
    }
    return answer


def told() -> dict[str, Any]:
    rows = [row for name in market().truth.ticker_on(SESSION) for row in market().marketaux_news(name, NEWS, NOW)][:2]
    return {"meta": {"found": 2, "returned": 2, "limit": 3, "page": 1}, "data": rows}


def judged() -> dict[str, Any]:
    asked = analyst.request(title="Profit rose", text=None, tickers=[ticker()])
    return market().gemini_answer(json.dumps(asked).encode(), analyst.MODEL)


ANSWERS: dict[str, tuple[Callable[[], Any], Callable[[bytes], object]]] = {
    "companyfacts": (facts, fundamentals.companyfacts),
    "submissions": (submissions, filings.parse_submissions),
    "company_tickers": (lambda: dict(list(market().company_tickers(NOW).items())[:3]), universe.company_tickers),
    "tickers": (lambda: page(market().polygon_tickers(True, NOW)[:3], count=3), universe.polygon_tickers),
    "ticker_details": (
        lambda: page(market().ticker_details(ticker(), SESSION, NOW)),
        lambda body: universe.ticker_details(body, on=SESSION),
    ),
    "ticker_events": (lambda: page(market().ticker_events(ticker(), NOW)), universe.ticker_events),
    "grouped_daily": (bars, lambda body: prices.polygon_grouped_daily(body, answered_on=SESSION, session=SESSION)),
    "splits": (lambda: page(market().polygon_splits(date(2022, 1, 3), SESSION, NOW)[:3]), prices.polygon_splits),
    "dividends": (lambda: page(market().polygon_dividends(FIRST, SESSION, NOW)[:3]), prices.polygon_dividends),
    "daily_prices": (
        lambda: market().tiingo_prices(ticker(), FIRST, SESSION, NOW),
        lambda body: prices.tiingo_daily(body, ticker=ticker()),
    ),
    "daily_all": (lambda: market().tiingo_daily_all(NOW)[:3], prices.tiingo_daily),
    "polygon news": (lambda: page(market().polygon_news(NEWS, None, None, NOW)[:2]), news.polygon_news),
    "tiingo news": (lambda: market().tiingo_news(NEWS.date(), SESSION, [], NOW)[:2], news.tiingo_news),
    "marketaux news": (told, news.marketaux_news),
    "gemini generate_content": (judged, analyst.answer_text),
    "chart": (chart, lambda body: prices.yahoo_chart(body, answered_on=SESSION, ticker=ticker())),
}
OTHERS = [None, "x", "", -1, 1e300, 10**30, True, [], {}, [None], {"x": 1}]


def places(tree: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in the tree."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield (*at, key)
        yield from places(child, (*at, key))


@pytest.mark.parametrize("endpoint", ANSWERS)
def test_an_answer_as_the_vendor_gives_it_parses(endpoint):
    answer, parse = ANSWERS[endpoint]
    parse(json.dumps(answer()).encode())


@pytest.mark.parametrize("endpoint", ANSWERS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_value_of_another_kind_is_a_named_error_and_no_other(endpoint, data):
    answer, parse = ANSWERS[endpoint]
    tree = copy.deepcopy(answer())
    *path, key = data.draw(st.sampled_from(sorted(places(tree), key=repr)))
    parent = tree
    for step in path:
        parent = parent[step]
    if data.draw(st.booleans()):
        parent[key] = data.draw(st.sampled_from(OTHERS))
    else:
        del parent[key]
    with contextlib.suppress(ValueError):  # anything else fails the test
        parse(json.dumps(tree).encode())
