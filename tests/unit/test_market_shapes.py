"""The simulated bodies have the very keys and forms of the vendors' recorded ones."""

from __future__ import annotations

import gzip
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from closingbell.sandbox.market import Market

pytestmark = pytest.mark.real
POLYGON = "polygon/client_python_mocks"


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(seed=7, companies=20)


def recorded(folder: Path, name: str) -> Any:
    path = Path(folder) / name
    if not path.exists():
        pytest.skip(f"this folder of recordings holds no {name}")
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


def one(folder: Path, pattern: str) -> Any:
    found = sorted(p for p in Path(folder).glob(pattern) if "submissions-0" not in p.name)
    if not found:
        pytest.skip(f"this folder of recordings holds no {pattern}")
    return recorded(folder, str(found[0].relative_to(folder)))


def test_company_tickers(market, recordings):
    real = recorded(recordings, "www.sec.gov/files/company_tickers.json.gz")
    assert market.company_tickers(market.default_clock)["0"].keys() == real["0"].keys()


def test_submissions(market, recordings):
    real = one(recordings, "data.sec.gov/submissions/CIK*.json.gz")
    ours = market.submissions(market.cases["plain"], market.default_clock)
    assert ours.keys() == real.keys()
    assert ours["filings"].keys() == real["filings"].keys()
    assert ours["filings"]["recent"].keys() == real["filings"]["recent"].keys()
    assert {"name", "filingCount", "filingFrom", "filingTo"} == ours["filings"]["files"][0].keys()
    form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")
    for answer in (ours, real):
        assert all(form.fullmatch(text) for text in answer["filings"]["recent"]["acceptanceDateTime"])


def test_company_facts(market, recordings):
    files = sorted(Path(recordings).glob("data.sec.gov/api/xbrl/companyfacts/CIK*.json.gz"))[:4]
    if not files:
        pytest.skip("this folder of recordings holds no company facts")
    real = [json.loads(gzip.decompress(path.read_bytes())) for path in files]
    ours = market.companyfacts(market.cases["plain"], market.default_clock)
    assert all(ours.keys() == answer.keys() for answer in real)

    def shapes(answer):
        return {(kind, tuple(sorted(entry)), tuple(sorted(row)))
                for kind in ("us-gaap", "dei") for entry in answer["facts"].get(kind, {}).values()
                for rows in entry["units"].values() for row in rows}  # fmt: skip

    assert shapes(ours) <= set().union(*map(shapes, real))
    units = {unit for entry in ours["facts"]["us-gaap"].values() for unit in entry["units"]}
    assert units == {"USD", "USD/shares", "shares"}


def test_daily_index(market, recordings):
    found = sorted(Path(recordings).glob("www.sec.gov/Archives/edgar/daily-index/form.*.idx.gz"))
    if not found:
        pytest.skip("this folder of recordings holds no daily form index")
    real = gzip.decompress(found[0].read_bytes()).decode().split("\n")
    filing = next(f for f in market.filings(market.company(market.cases["plain"])) if f.form == "10-K")
    ours = market.daily_index(filing.filed_on, market.default_clock).split("\n")
    assert ours[8] == real[8]  # the column heads
    theirs, mine = (next(line for line in lines if line.startswith("10-K ")) for lines in (real, ours))
    for mark in (r"edgar/data", r"\d{8}  "):
        assert re.search(mark, mine).start() == re.search(mark, theirs).start()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("v2/aggs/grouped/locale/us/market/stocks/2005-04-04&adjusted=true.json",
         lambda m, now: m.grouped_daily(m.last_session, now)),
        ("v3/reference/tickers.json", lambda m, now: m.polygon_tickers(True, now)),
        ("vX/reference/tickers/META/events&types=ticker_change.json",
         lambda m, now: [m.ticker_events(m.cases["new_ticker"], now)]),
    ],
)  # fmt: skip
def test_polygon_bodies(market, recordings, name, ours):
    real = recorded(recordings, f"{POLYGON}/{name}")["results"]
    real = real if isinstance(real, list) else [real]
    assert {frozenset(row) for row in ours(market, market.default_clock)} == {frozenset(row) for row in real}


def test_polygon_details(market, recordings):
    real = recorded(recordings, f"{POLYGON}/v3/reference/tickers/AAPL.json")["results"]
    ours = market.ticker_details(market.cases["new_ticker"], None, market.default_clock)
    assert ours.keys() == real.keys()
    assert all(type(ours[key]) is type(real[key]) for key in real if key != "market_cap")


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/v3/reference/splits", lambda m, now: m.polygon_splits(date(2014, 1, 1), date(2025, 12, 31), now)),
        ("/v3/reference/dividends", lambda m, now: m.polygon_dividends(date(2025, 1, 1), date(2025, 12, 31), now)),
        ("/v3/reference/tickers", lambda m, now: m.polygon_tickers(False, now)),
    ],
)
def test_polygon_actions_have_the_columns_of_its_openapi_description(market, recordings, path, ours):
    operation = recorded(recordings, "polygon/rest_openapi.json.gz")["paths"][path]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    parts = schema.get("allOf", [schema])
    columns = {key: value for part in parts for key, value in part.get("properties", {}).items()}
    described = set(columns["results"]["items"]["properties"])
    for row in ours(market, market.default_clock):
        assert set(row) == described


def test_tiingo_prices(market, recordings):
    real = recorded(recordings, "tiingo/python_client_vcr/ticker_price_with_date_0.json")
    ours = market.tiingo_prices(market.cases["new_ticker"], date(2025, 12, 1), date(2025, 12, 5), market.default_clock)
    assert ours[0].keys() == real[0].keys()
    assert {k: type(v) for k, v in ours[0].items()} == {k: type(v) for k, v in real[0].items()}
    assert ours[0]["date"][10:] == real[0]["date"][10:] == "T00:00:00.000Z"


def test_reference_files(market, recordings):
    members = Path(recordings) / "reference/sp500_constituents.csv"
    ranks = Path(recordings) / "reference/fortune500_hifld_2017.csv"
    if not members.exists() or not ranks.exists():
        pytest.skip("this folder of recordings holds no reference files")
    assert market.sp500_csv(market.default_clock).split("\n")[0] == members.read_text().split("\n")[0].strip()
    real = ranks.read_text(encoding="utf-8-sig").split("\n")[0].strip().split(",")
    ours = market.fortune500_csv().split("\n")[0].split(",")
    assert [name for name in ours if name in real] == [name for name in real if name not in ("X", "Y")]
