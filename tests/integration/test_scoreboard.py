"""The scoreboard on a warehouse (scored.py): what its pages show, and what a browser does with them.

The browser is the machine's Chromium. Screenshots of every page go to build/screenshots.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from html import unescape
from typing import Any

import numpy as np
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from markupsafe import escape
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from scored import (
    AT,
    CONSENSUS,
    HERO,
    HOLDING,
    MOOD,
    NAMES,
    OTHER,
    OWNERS,
    QUARTER,
    RATING,
    REPORT,
    Warehouse,
    fill_rooms,
)  # fmt: skip
from sqlalchemy import text
from sqlalchemy.exc import InternalError

from closingbell import sessions
from closingbell.api import main, scoreboard
from closingbell.api.scoreboard import board, coverage, routes
from closingbell.pipelines import score_reads
from closingbell.prices.indicators import lines
from closingbell.settings import REPOSITORY
from closingbell.stack.checks import free_port

SHOTS = REPOSITORY / "build/screenshots"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
HOSTILE = f'"><script>alert(1)</script> {"Incorporated" * 6} & Söhne'
FRAME = "allow-scripts allow-same-origin allow-forms allow-downloads"  # of Airflow 3.3's pages of plugins


@pytest.fixture(scope="module", autouse=True)
def _rooms(house: Warehouse) -> None:
    """The hero's name is hostile, and has a word that no line of a phone can hold."""
    fill_rooms(house.engine, house.shares[HERO], house.days)
    statement = """UPDATE closingbell.companies SET name = :name
        WHERE cik = (SELECT cik FROM closingbell.securities WHERE security_id = :id)"""
    with house.engine.begin() as connection:
        connection.execute(text(statement), {"name": HOSTILE, "id": house.shares[HERO]})


def page_of(house: Warehouse, path: str, status: int = 200) -> str:
    answer = house.client.get(f"/scoreboard{path}", headers={"X-API-Key": house.key})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-security-policy"] == scoreboard.POLICY
    return answer.text


def tickers(text: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'<th scope="row"><a href="[^"]*"><b>([^<]+)</b>', text)]


def rows_of(house: Warehouse, at: int) -> list[dict[str, Any]]:
    statement = "SELECT * FROM closingbell.ic_scores WHERE session = :session ORDER BY overall_score DESC, security_id"
    return [row | {"ticker": ticker_on(house, row)} for row in house.rows(statement, session=house.days[at])]


def ticker_on(house: Warehouse, row: dict[str, Any]) -> str:
    statement = """SELECT ticker FROM closingbell.borne_tickers WHERE security_id = :id AND valid_from <= :day
        AND (valid_to >= :day OR valid_to IS NULL) ORDER BY valid_from DESC"""
    return house.rows(statement, id=row["security_id"], day=row["session"])[0]["ticker"]


# -- pages ------------------------------------------------------------------------------------------------------------


def test_the_board_shows_every_stock_best_first_and_a_page_at_a_time(house, monkeypatch):
    expected = [row["ticker"] for row in rows_of(house, -1)]
    assert tickers(page_of(house, "")) == expected[: board.PAGE]
    monkeypatch.setattr(routes.board, "PAGE", 7)
    shown: list[str] = []
    for number in range(1, -(-len(expected) // 7) + 1):
        shown += tickers(page_of(house, f"?page={number}"))
    assert shown == expected
    assert tickers(page_of(house, "?page=900")) == expected[-(len(expected) % 7 or 7) :], "beyond the last: the last"


@pytest.mark.parametrize("column", ["technical", "sector_percentile", "change"])
def test_the_board_is_sorted_by_a_column_and_back(house, column):
    before = {row["security_id"]: row["overall_score"] for row in rows_of(house, 1)}
    rows = rows_of(house, -1)
    for row in rows:
        row["change"] = round(row["overall_score"] - before[row["security_id"]], 2)
    for order, sign in (("best", -1), ("worst", 1)):
        ordered = sorted(rows, key=lambda row, s=sign: (row[column] is None, s * (row[column] or 0)))
        assert tickers(page_of(house, f"?sort={column}&order={order}")) == [row["ticker"] for row in ordered]


def test_the_board_is_filtered_and_its_download_has_the_same_rows(house):
    rows = rows_of(house, -1)
    sector = next(row["sector"] for row in rows if row["sector"])
    rating = next(row["rating"] for row in rows if row["sector"] == sector)
    found = [row for row in rows if (row["sector"], row["rating"]) == (sector, rating)]
    asked = f"?sector={sector.replace(' ', '+')}&rating={rating.replace(' ', '+')}&min_score=1&confidence="
    assert tickers(page_of(house, asked)) == [row["ticker"] for row in found]
    answer = house.client.get(f"/scoreboard/board.csv{asked}", headers={"X-API-Key": house.key})
    assert f'filename="closing-bell-{house.days[-1]}.csv"' in answer.headers["content-disposition"]
    told = list(csv.DictReader(io.StringIO(answer.text)))
    assert [one["ticker"] for one in told] == [row["ticker"] for row in found]
    assert [float(one["overall_score"]) for one in told] == [row["overall_score"] for row in found]
    assert "No stock of this board meets that" in page_of(house, "?min_score=100")


def test_a_day_without_a_board_shows_the_one_before_and_says_so(house):
    first, second = house.days[:2]
    assert tickers(page_of(house, f"?session={second}")) == [row["ticker"] for row in rows_of(house, 1)]
    after = house.days[-1] + timedelta(days=1)
    text = page_of(house, f"?session={after}")
    assert f"Board of {house.days[-1]}" in text
    assert f"{after} has no board, this is the nearest" in text
    assert f"Board of {first}" in page_of(house, "?session=2009-01-02")
    links = page_of(house, f"?session={second}&sort=technical")
    assert f"session={first}&amp;sort=technical" in links
    assert f"session={house.days[2]}&amp;sort=technical" in links


def test_a_stock_is_shown_as_the_close_knew_it_with_where_it_came_from(house):
    ticker = house.ticker(house.shares[HERO])
    then, now = (page_of(house, f"/stocks/{ticker}?session={house.days[at]}") for at in (1, 2))
    assert "$2.00B" in then
    assert "$1.80B" not in then, "the quarter is restated after that close"
    assert "$1.80B" in now
    assert '<span class="was">first $2.00B</span>' in now
    assert 'class="was"' not in then
    restated = re.search(r'<p class="restated">(.*?)</p>', now, re.S)
    assert restated
    assert "0000000009-25-000003" in restated[1]
    assert "revenue $2.00B › $1.80B." in restated[1]
    for early, late in (("Early Ann", "Late Lou"), ("0000000009-25-000004", "0000000009-25-000005")):
        assert early in then
        assert late not in then
        assert early in now
        assert late in now
    score = house.score(house.shares[HERO], house.days[1])
    assert f"<strong>{score['overall_score']:.2f}</strong>" in then
    assert "0000000001-25-000001-index.htm" in then, "the filing that the margins are from"
    assert "no data: it leaves the mean" in then
    assert "before the close" in now
    assert "after the close" not in now
    assert "what was told by then" in now
    assert re.findall(r'data-label="Target">([^<]*)<', then) == ["18.00"]
    assert re.findall(r'data-label="Target">([^<]*)<', now) == ["18.00", "9.00"], "split two for one on that session"
    cik = house.rows("SELECT cik FROM closingbell.securities WHERE security_id = :id", id=house.shares[HERO])[0]["cik"]
    assert f"https://www.sec.gov/Archives/edgar/data/{cik}/000000000925000002/0000000009-25-000002-index.htm" in then
    assert escape(HOSTILE) in now
    assert "<script>alert" not in now
    assert "0000000009-25-000009-index.htm" in then, "a quarter is made of what each of its filings tells"
    page_of(house, "/stocks/NOBODY", 404)


def put_quarter(house: Warehouse, share: int, at: int, version: int, **columns: Any) -> None:
    """A version of a quarter, known at the close of a session."""
    row = {"accession": f"00000000{share}0-25-{version:06}", "known_at": sessions.close_of(house.days[at]), "at": AT}
    row |= {"security": house.shares[share], "period": columns.pop("period"), "revenue": columns.pop("revenue", None)}
    changed = ", ".join(f"{name} = :{name}" for name in columns)
    with house.engine.begin() as connection:
        connection.execute(text(QUARTER), row)
        if columns:
            statement = f"UPDATE closingbell.financials SET {changed} WHERE accession_no = :accession"
            connection.execute(text(statement), columns | {"accession": row["accession"]})


def section(house: Warehouse, share: int, at: int, name: str) -> str:
    page = page_of(house, f"/stocks/{house.ticker(house.shares[share])}?session={house.days[at]}")
    return page.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def test_earnings_a_share_stand_on_the_sessions_split_basis_and_a_split_restates_nothing(house):
    """The hero was split two for one on the last session. 1.01 before it may be 0.50 after: both are rounded."""
    for period, before, after, filed in (
        (date(2025, 3, 31), 4.0, 2.0, 2), (date(2024, 12, 31), 1.01, 0.5, 2), (date(2024, 9, 30), 7.0, None, None),
        (date(2024, 6, 30), 6.0, 5.0, 0),
    ):  # fmt: skip
        put_quarter(house, HERO, 0, period.month, period=period, eps_diluted=before)
        if after:
            basis = {"eps_filed_on": house.days[filed], "eps_diluted": after}
            put_quarter(house, HERO, 2, 100 + period.month, period=period, **basis)
    shown = [
        re.search(r"Earnings a share, diluted</th>(.*?)</tr>", section(house, HERO, at, "statements"), re.S)[1]  # type: ignore[index]
        for at in (1, 2)
    ]
    then, now = (re.findall(r'<td class="n">(.*?)</td>', row) for row in shown)
    assert then[2:] == ["4.00", "1.01", "7.00", "6.00"]
    assert now[2:] == ["2.00", "0.50", "3.50", '2.50<span class="was">first 3.00</span>']
    assert f"Earnings a share are on the split basis of {house.days[2]}." in section(house, HERO, 2, "statements")
    changes = section(house, HERO, 2, "changes")
    assert "The quarter to 2024-06-30 is restated" in changes
    assert "earnings a share, diluted 3.00 › 2.50." in changes
    for unchanged in ("2025-03-31", "2024-12-31"):
        assert f"The quarter to {unchanged} is restated" not in changes


def test_a_restatement_is_against_what_the_session_before_knew(house):
    """What the second version changed is no doing of the third; the table still shows what the first said."""
    share, wider, same = 2, date(2025, 9, 30), date(2025, 6, 30)
    for at, version, revenue, income in ((0, 1, 1.0e9, 1e8), (1, 2, 1.2e9, 1e8), (2, 3, 1.2e9, 0.9e8)):
        put_quarter(house, share, at, version, period=wider, revenue=revenue, net_income=income)
        put_quarter(house, share, at, 10 + version, period=same, revenue=revenue, inventory=1e6 * version)
    changes = section(house, share, 2, "changes")
    restated = re.findall(r'<p class="restated">(.*?)</p>', changes, re.S)
    assert len(restated) == 1
    assert "The quarter to 2025-09-30 is restated" in restated[0]
    assert restated[0].endswith("ET: net income $100.00M › $90.00M.")
    assert len(re.findall(r'<p class="restated">', section(house, share, 1, "changes"))) == 2
    assert section(house, share, 2, "statements").count('<span class="was">first $1.00B</span>') == 2


def test_a_figure_of_another_currency_has_no_dollar_and_is_compared_within_it(house):
    share = 3
    put_quarter(house, share, 0, 1, period=date(2025, 9, 30), revenue=3.0e9)
    put_quarter(house, share, 1, 2, period=date(2025, 9, 30), revenue=4.0e9, currency="CAD")
    statements = section(house, share, 1, "statements")
    assert '<th scope="col">CAD</th>' in statements
    assert ">4.00B<" in statements
    assert "$" not in statements
    assert 'class="was"' not in statements, "the first version was of another currency"
    put_quarter(house, share, 2, 3, period=date(2025, 9, 30), revenue=4.2e9, currency="CAD")
    put_quarter(house, share, 2, 4, period=date(2025, 6, 30), revenue=2.0e9)
    statements = section(house, share, 2, "statements")
    assert '4.20B<span class="was">first 4.00B</span>' in statements
    assert ">$2.00B<" in statements
    assert '<th scope="col" class="n">2025-09-30 CAD <span class="tag">restated</span>' in statements
    assert '<th scope="col" class="n">2025-06-30 USD</th>' in statements
    assert "ET, in CAD: revenue 4.00B › 4.20B." in section(house, share, 2, "changes")


def test_where_prices_come_adjusted_none_is_told_as_traded_and_a_split_that_is_not_told_restates_nothing(house):
    share, later = 4, house.days[2] + timedelta(days=30)
    path = f"/stocks/{house.ticker(house.shares[share])}?session={house.days[1]}"
    said = f"adjusted by its vendor up to {later}"
    for version, eps in ((1, 14.0), (2, 2.0)):
        put_quarter(house, share, version - 1, version, period=date(2025, 9, 30), eps_diluted=eps)
    assert '2.00<span class="was">first 14.00</span>' in section(house, share, 1, "statements")
    assert said not in page_of(house, path)
    assert f"On the split basis of {house.days[1]}" in section(house, share, 1, "prices")
    statement = "UPDATE closingbell.stock_prices SET adjusted_as_of = :later WHERE security_id = :id"
    with house.engine.begin() as connection:
        connection.execute(text(statement), {"later": later, "id": house.shares[share]})
    assert f'<span class="dim">on {house.days[1]}, {said}</span>' in page_of(house, path)
    prices = section(house, share, 1, "prices")
    assert f"Bars are adjusted by their vendor up to {later};" in prices
    assert prices.count(f"adjusted up to {later}</td>") == 2
    assert "On the split basis" not in prices
    statements = section(house, share, 1, "statements")
    assert "as filed, each on the split basis of its filing: splits are not told" in statements
    assert "first 14.00" not in statements, "net income is the same: a split that nobody told, for all that is known"
    put_quarter(house, share, 2, 3, period=date(2025, 9, 30), eps_diluted=1.9, net_income=0.9e8)
    changes = section(house, share, 2, "changes")
    assert "net income $100.00M › $90.00M; earnings a share, diluted 2.00 › 1.90." in changes


@pytest.mark.parametrize(
    ("share", "days_before", "days_loaded", "unpriced", "said"),
    [
        (2, 5, 90, 0, "2 purchases by 1 insiders ($10.0K), 1 sales by 1 ($4,000.00); net $6,000.00."),
        (3, 0, 90, 1, "2 purchases by 1 insiders, 1 sales by 1; 1 without a price, so that nothing is summed."),
        (4, 0, 89, 0, "No sums of 90 days: filings are loaded since {from_day}."),
        (5, 0, None, 0, "No sums of 90 days: filings are not loaded day by day."),
        (6, 6, 90, 0, None),
    ],
)
def test_sums_of_insiders_are_of_whole_windows_and_as_old_as_the_score_takes_them(
    house, share, days_before, days_loaded, unpriced, said
):
    session = house.days[2] - timedelta(days=days_before)
    from_day = days_loaded and session - timedelta(days=days_loaded - 1)
    statement = """INSERT INTO closingbell.insider_activity (security_id, session, known_at, buys_30d, sells_30d,
            buyers_30d, sellers_30d, unpriced_30d, buys_90d, sells_90d, value_bought_90d, value_sold_90d, net_value_90d,
            buyers_90d, sellers_90d, unpriced_90d, filings_from, fetched_at)
        VALUES (:id, :session, :known_at, 0, 0, 0, 0, 0, 2, 1, 10000, 4000, 6000, 1, 1, :unpriced, :from_day, :at)"""
    row = {"id": house.shares[share], "session": session, "unpriced": unpriced, "from_day": from_day, "at": AT}
    with house.engine.begin() as connection:
        connection.execute(text(statement), row | {"known_at": sessions.close_of(house.days[0])})
    insiders = section(house, share, 2, "insiders")
    if said is None:
        assert "90 days" not in insiders
    else:
        assert said.format(from_day=from_day) in insiders
        assert f"As of {session}" in insiders


@pytest.mark.parametrize(("share", "days_before", "shown"), [(7, 5, True), (8, 6, False)])
def test_ratings_and_news_are_as_old_as_the_score_takes_them(house, share, days_before, shown):
    session, close = house.days[2] - timedelta(days=days_before), sessions.close_of(house.days[0])
    row = {"security": house.shares[share], "session": session, "close": close, "known_at": close, "at": AT}
    with house.engine.begin() as connection:
        for statement in (MOOD, CONSENSUS):
            connection.execute(text(statement), row | {"quarter": date(2025, 9, 30)})
    for name in ("ratings", "news"):
        assert (f"As of {session}" in section(house, share, 2, name)) == shown


def test_factor_bars_stand_against_the_quartiles_of_the_sector(house):
    security = house.shares[HERO]
    score = house.score(security, house.days[-1])
    text = page_of(house, f"/stocks/{house.ticker(security)}")
    peers = [row for row in rows_of(house, -1) if row["sector"] == score["sector"]]
    for name in NAMES:
        if score[name] is None:
            continue
        found = [row[name] for row in peers if row[name] is not None]
        low, middle, high = np.percentile(found, [25, 50, 75])
        assert f'class="half" style="left:{low:.1f}%;width:{high - low:.1f}%"' in text, name
        assert f'class="middle" style="left:{middle:.1f}%"' in text, name


def test_charts_are_of_the_bars_on_the_sessions_split_basis(house):
    """The hero was split two for one on the last session; its bars before stood at twice the price."""
    security = house.shares[HERO]
    bars = house.rows(
        "SELECT * FROM closingbell.stock_prices WHERE security_id = :id ORDER BY session", id=security
    )  # fmt: skip
    path = f"/scoreboard/stocks/{house.ticker(security)}"
    for session, factor in ((house.days[1], 1.0), (house.days[2], 0.5)):
        answer = house.client.get(f"{path}/charts.json?session={session}", headers={"X-API-Key": house.key}).json()
        kept = [row for row in bars if row["session"] <= session]
        closes = [row["close"] * (factor if row["session"] < house.days[2] else 1) for row in kept]
        assert column(answer["prices"], "close") == pytest.approx(closes)
        expected = lines(np.array(closes))["sma_50"]
        assert np.isnan(expected).all(), "three bars have no average of fifty"
        assert len(column(answer["history"], "overall_score")) == len(kept)


def test_why_a_score_changed_adds_up_to_the_change(house):
    security = house.shares[HERO]
    ticker = house.ticker(security)
    before, after = (house.score(security, day)["overall_score"] for day in house.days[1:])
    text = page_of(house, f"/stocks/{ticker}")
    part = re.search(r'<section id="changes">.*?</section>', text, re.S)[0]  # type: ignore[index]
    assert f"{house.days[1]}</a>: {before:.2f}. {house.days[2]}: {after:.2f}." in part
    told = re.findall(r'<td class="n (?:up|down)">([+−][\d.]+)</td>', part)
    points = [float(found.replace("−", "-")) for found in told]
    assert points
    assert sum(points) == pytest.approx(after - before, abs=1e-9)
    assert "has no score before" in page_of(house, f"/stocks/{ticker}?session={house.days[0]}")


def test_a_rating_among_the_evidence_is_named_by_its_firm(house):
    security, known = house.shares[OTHER], sessions.close_of(house.days[0])
    row = {"security": security, "accession": "r-77", "name": "Northgate", "known_at": known, "at": AT}
    entry = [4.0, "market", 20, 50.0, ["analyst_consensus", security, str(house.days[2])]]
    statement = """UPDATE closingbell.score_inputs
        SET inputs = inputs || jsonb_build_object('analyst_rating', CAST(:entry AS jsonb))
        WHERE security_id = :security AND session = :session"""
    with house.engine.begin() as connection:
        connection.execute(text(RATING), row)
        asked = {"entry": json.dumps(entry), "security": security, "session": house.days[2]}
        connection.execute(text(statement), asked)
    part = page_of(house, f"/stocks/{house.ticker(security)}").partition('id="factors"')[2].partition("</section>")[0]
    assert f"Northgate: Buy, {known.astimezone(sessions.NEW_YORK):%Y-%m-%d %H:%M} ET" in part


def test_a_holders_position_is_what_its_filings_that_stand_say_together(house):
    """An amendment adds to what stands, or replaces it, also where the share is in it no more."""
    security, quarter = house.shares[OTHER], date(2025, 9, 30)
    when = [sessions.close_of(house.days[at]) for at in (0, 1, 2)]
    filed = (  # institution, number, known, kind, shares; 0: it lacks the share
        (71, 1, when[0], None, 1_000_000), (71, 2, when[1], "NEW HOLDINGS", 500), (71, 3, when[2], "RESTATEMENT", 0),
        (72, 1, when[0], None, 700), (72, 2, when[1], "RESTATEMENT", 0),
        (73, 1, when[0], None, 900), (73, 2, when[1], "NEW HOLDINGS", 900),  # said again
    )  # fmt: skip
    with house.engine.begin() as connection:
        for institution, number, known_at, kind, shares in filed:
            row = {
                "accession": f"{institution:010}-25-{number:06}", "institution": institution, "number": number,
                "name": f"Institution {institution}", "form": "13F-HR/A" if kind else "13F-HR", "amendment": kind,
                "quarter": quarter, "known_at": known_at, "security": security, "shares": shares, "at": AT,
            }  # fmt: skip
            connection.execute(text(REPORT), row)
            if shares:
                connection.execute(text(HOLDING), row)
        row = {"security": security, "session": house.days[0], "known_at": when[0], "quarter": quarter, "at": AT}
        connection.execute(text(OWNERS), row)
    held = re.compile(r'<th scope="row">Institution (\d+)</th><td class="n" data-label="Shares">([\d,]+)</td>')
    found = [
        dict(held.findall(shown))
        for shown in (page_of(house, f"/stocks/{house.ticker(security)}?session={day}") for day in house.days)
    ]
    assert found == [{"71": "1,000,000", "73": "900", "72": "700"}, {"71": "1,000,500", "73": "900"}, {"73": "900"}]


def test_a_rating_corrected_later_is_shown_as_it_was(house):
    security, ticker = house.shares[OTHER + 1], house.ticker(house.shares[OTHER + 1])
    first, later = (sessions.close_of(house.days[at]) for at in (0, 2))
    row = {"security": security, "accession": "r-78", "name": "Southgate", "known_at": first, "at": AT}
    replaced = """INSERT INTO ops.revisions (stage_id, table_name, key, old_row)
        SELECT 'tests', 'analyst_ratings', '{"vendor": "benzinga", "rating_id": "r-78"}', to_jsonb(r)
        FROM closingbell.analyst_ratings AS r WHERE rating_id = 'r-78'"""
    corrected = """UPDATE closingbell.analyst_ratings SET rating = 'Sell', currency = 'CAD', known_at = :known_at
        WHERE rating_id = 'r-78'"""
    with house.engine.begin() as connection:
        connection.execute(text(RATING), row)
        connection.execute(text(replaced))
        connection.execute(text(corrected), {"known_at": later})
    shown = [
        re.findall(r'data-label="(?:Rating|Target)">([^<]*)<', page_of(house, f"/stocks/{ticker}?session={day}"))
        for day in house.days
    ]
    assert shown == [["Buy", "18.00"], ["Buy", "18.00"], ["Sell", "18.00 CAD"]]


def test_a_quarter_whose_reports_are_not_all_in_says_so_and_does_not_name_the_holders(house):
    """Of the last quarter: before its reports are due; of one that is due: while a handful of those before filed it."""
    security, known = house.shares[OTHER + 2], sessions.close_of(house.days[0])
    ended = [date(2024, 12, 31), date(2025, 3, 31), date(2025, 6, 30), house.days[0] - timedelta(days=47)]
    with house.engine.begin() as connection:
        for quarter, filers in zip(ended, (4, 4, 1, 4), strict=True):
            owned = {"security": security, "session": house.days[0], "known_at": known, "quarter": quarter, "at": AT}
            connection.execute(text(OWNERS), owned)
            for number in range(filers):
                row = {
                    "accession": f"{quarter}-{number}", "institution": 80 + number, "name": f"Of {quarter}",
                    "number": None, "form": "13F-HR", "amendment": None, "shares": 5, **owned,
                }  # fmt: skip
                connection.execute(text(REPORT), row)
                connection.execute(text(HOLDING), row)
    shown = page_of(house, f"/stocks/{house.ticker(security)}?session={house.days[0]}")
    assert re.findall(r'<th scope="row">([\d-]+) <span class="tag">reports not all in', shown) == [
        str(ended[3]), str(ended[2])
    ]  # fmt: skip
    assert "Largest holders on 2025-03-31" in shown
    assert shown.count("Of 2025-03-31") == 4


def test_coverage_is_that_of_the_command_and_says_how_fresh_tables_are(house):
    text = page_of(house, f"/coverage?session={house.days[1]}")
    lines = score_reads.covered(house.engine, house.days[1])
    shown = re.findall(r'<td class="n" data-label="Of all">([\d,]+), (\d+)%<span class="bar"', text)
    of_kind = [line for kind in ("factor", "table") for line in lines if line.kind == kind]
    assert shown == [(f"{line.have:,}", f"{100 * line.have / line.of:.0f}") for line in of_kind]
    assert text.count("Reached:") + text.count("Missed:") == sum(len(line.goals) for line in lines)
    assert re.search(r"<code>ic_scores</code></dt><dd>just now</dd>", text)


def test_coverage_cannot_write(house, monkeypatch):
    def writing(engine: Any, session: Any) -> Any:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM closingbell.ic_scores"))

    monkeypatch.setattr(score_reads, "covered", writing)
    with pytest.raises(InternalError, match="read-only transaction"):
        coverage.covered(house.days[1])


def column(document: Any, name: str) -> list[float]:
    """A column of the source of a BokehJS document."""
    found: list[list[float]] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.get("entries", []):
                if key == name:
                    found.append(value if isinstance(value, list) else value.get("array", value))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    return found[0]


# -- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(house: Warehouse) -> Iterator[str]:
    """The application under uvicorn, in a thread."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(main.make_app(), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        assert not os.environ.get("CI"), "the browser tests need Chromium: install Debian's package chromium"
        pytest.skip("no Chromium on this machine: install it (Debian: apt-get install chromium) to try the pages")
    expect.set_options(timeout=30_000)  # two busy cores draw a chart in ten seconds
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, site: str, house: Warehouse) -> Iterator[Any]:
    """visit(path, **of the context): a page of somebody signed in; what went wrong in it fails the test."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def opened(path: str, *, key: str | None = house.key, **options: Any) -> Page:
        context = chromium.new_context(**options)
        context.set_default_timeout(120_000)
        contexts.append(context)
        if key:
            context.add_cookies([{"name": scoreboard.COOKIE, "value": key, "url": site}])
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" and key else None)
        page.on("request", lambda asked: None if asked.url.startswith((site, "data:")) else wrong.append(asked.url))
        page.goto(f"{site}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def listed(page: Page) -> list[str]:
    return page.locator("table.board tbody th b").all_text_contents()


def test_a_search_finds_as_one_types_and_leads_to_the_stock(visit, house):
    security = house.shares[HERO]
    ticker = house.ticker(security)
    page = visit("/scoreboard")
    page.keyboard.press("/")
    page.keyboard.type(ticker[:2])
    options = page.get_by_role("option")
    expect(options.first).to_be_visible()
    page.get_by_role("combobox", name="Search").fill(ticker)
    expect(options.first).to_contain_text(ticker)
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/scoreboard/stocks/{ticker}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(ticker)
    page.goto(f"{page.url}?session={house.days[0]}")
    page.get_by_role("combobox", name="Search").fill(ticker)
    expect(options.first).to_have_attribute("data-href", re.compile(f"/stocks/{ticker}\\?session={house.days[0]}$"))
    page.get_by_role("combobox", name="Search").fill("no such company at all")
    expect(page.get_by_role("option")).to_have_text("Nothing of that name")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()


def test_filters_need_no_button_and_the_way_back_restores_them(visit, house):
    rows = rows_of(house, -1)
    rating = rows[-1]["rating"]
    page = visit("/scoreboard")
    page.get_by_label("Rating").select_option(rating)
    few = [row["ticker"] for row in rows if row["rating"] == rating]
    expect(page.get_by_role("status")).to_contain_text(f"{len(few)} of {len(rows)}")
    assert listed(page) == few
    assert f"rating={rating}".replace(" ", "+") in page.url
    page.get_by_role("searchbox", name="Name").fill(few[0])
    expect(page.locator("table.board tbody tr")).to_have_count(1)
    expect(page.get_by_role("searchbox", name="Name")).to_be_focused()
    page.go_back()
    expect(page.locator("table.board tbody tr")).to_have_count(len(few))
    page.get_by_role("link", name="Clear").click()
    expect(page.locator("table.board tbody tr")).to_have_count(len(rows))
    page.get_by_role("columnheader", name="Technical").get_by_role("link").click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Technical")
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Technical")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename == f"closing-bell-{house.days[-1]}.csv"


def test_the_session_picker_shows_the_board_as_it_was(visit, house):
    page = visit("/scoreboard")
    page.get_by_role("link", name="Session before").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Board of {house.days[1]}")
    assert listed(page) == [row["ticker"] for row in rows_of(house, 1)]
    page.get_by_label("Session", exact=True).fill(str(house.days[0]))
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Board of {house.days[0]}")
    page.locator("table.board tbody th a").first.click()
    expect(page.get_by_label("Session", exact=True)).to_have_value(str(house.days[0]))


def test_the_evidence_of_a_factor_opens_by_keyboard_and_names_its_filing(visit, house):
    page = visit(f"/scoreboard/stocks/{house.ticker(house.shares[HERO])}")
    summary = page.locator("summary", has_text="Profitability")
    filing = page.locator("details.factor[open]").get_by_role("link", name="0000000001-25-000001").first
    summary.focus()
    page.keyboard.press("Enter")
    expect(filing).to_be_visible()
    close = sessions.close_of(house.days[0]).astimezone(sessions.NEW_YORK)
    expect(page.locator("details.factor[open]")).to_contain_text(f"{close:%Y-%m-%d %H:%M} ET")


def test_charts_are_drawn_and_drawn_again_in_the_other_theme(visit, house):
    page = visit(f"/scoreboard/stocks/{house.ticker(house.shares[HERO])}", color_scheme="light")
    page.wait_for_selector("html[data-drawn=light]")
    assert page.locator(".chart").evaluate_all("all => all.map(one => one.childElementCount)") == [1, 1]
    page.get_by_role("button", name="Dark").click()
    page.wait_for_selector("html[data-drawn=dark]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 29)"
    page.reload()
    page.wait_for_selector("html[data-drawn=dark]")
    page.get_by_role("button", name="1 month").click()
    expect(page.get_by_role("button", name="1 month")).to_have_attribute("aria-pressed", "true")


def test_the_key_is_asked_for_once_and_leads_to_the_page_that_was_wanted(visit, house):
    page = visit(f"/scoreboard?session={house.days[1]}", key=None)
    page.get_by_label("Key").fill("cb_guessed")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This key is not in force.")
    page.get_by_label("Key").fill(house.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Board of")
    assert page.evaluate("document.cookie") == "", "no script can read it"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key")).to_be_visible()


def test_inside_airflows_frame_links_out_of_it_open(visit, house, site):
    """Its sandbox lets a frame open no tab: the page around it does."""
    page = visit("/scoreboard")
    path = f"/scoreboard/stocks/{house.ticker(house.shares[HERO])}"
    page.route("**/frame", lambda route: route.fulfill(
        body=f'<html class="dark"><iframe sandbox="{FRAME}" src="{path}" width="1200" height="800"></iframe>',
        content_type="text/html",
    ))  # fmt: skip
    page.context.route("https://www.sec.gov/**", lambda route: route.fulfill(body="a filing"))
    page.goto(f"{site}/frame")
    frame = page.frame_locator("iframe")
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    with page.context.expect_page() as opened:
        frame.locator("#statements a[rel~=external]").first.click()
    assert opened.value.url.startswith("https://www.sec.gov/Archives/edgar/data/")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("device", "size"), [("desktop", (1440, 900)), ("phone", (390, 844))])
def test_every_page_fits_and_can_be_read_by_everybody(visit, house, theme, device, size):
    """No page is wider than the screen, and axe-core finds nothing against WCAG 2.2 AA."""
    ticker = house.ticker(house.shares[HERO])
    phone = device == "phone"
    options = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": theme}
    for name, path, key in (
        ("board", "/scoreboard", house.key), ("stock", f"/scoreboard/stocks/{ticker}", house.key),
        ("coverage", "/scoreboard/coverage", house.key), ("sign-in", "/scoreboard", None),
    ):  # fmt: skip
        page = visit(path, key=key, is_mobile=phone, has_touch=phone, **options)
        if name == "stock":
            page.wait_for_selector(f"html[data-drawn={theme}]")
            page.locator("details.factor").first.evaluate("one => { one.open = true; }")
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"scoreboard-{name}-{theme}-{device}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], name
        rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
        found = Axe().run(page, options=rules)
        assert not found.response["violations"], found.generate_report()
