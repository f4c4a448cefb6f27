"""The recordings through the sandbox and the hooks: the same bytes come out that were recorded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from closingbell.connections import environment
from closingbell.hooks import open_hook
from closingbell.insiders import parse
from closingbell.sandbox.recorded import Recorded
from closingbell.sandbox.server import Sandbox, open_market, running

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def url(recordings: Path) -> Iterator[str]:
    with running(Sandbox(open_market("recorded", recordings=recordings), mode="recorded")) as url:
        yield url


@pytest.fixture
def vendors(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)


def test_company_facts_come_out_byte_for_byte(vendors, recordings):
    sec = open_hook("sec_edgar", None)
    for cik in (320193, 1045810, 909832, 104169):  # AAPL, NVDA, COST, WMT
        path = recordings / f"data.sec.gov/api/xbrl/companyfacts/CIK{cik:010d}.json.gz"
        if not path.exists():
            pytest.skip(f"{path.name} is not in these recordings")
        assert sec.companyfacts(cik).body == gzip.decompress(path.read_bytes())


def test_grouped_bars_are_the_recorded_prices(vendors, recordings):
    # prices/stocks/AAPL.csv.gz, last line: 2017-11-10,175.11,175.38,174.27,174.67,25130494,0
    if not (recordings / "prices/stocks/AAPL.csv.gz").exists():
        pytest.skip("AAPL's prices are not in these recordings")
    answer = json.loads(open_hook("polygon", None).grouped_daily(date(2017, 11, 10)).body)
    (bar,) = (row for row in answer["results"] if row["T"] == "AAPL")
    assert answer["adjusted"] is True
    assert (bar["o"], bar["h"], bar["l"], bar["c"], bar["v"]) == (175.11, 175.38, 174.27, 174.67, 25130494)


def test_tickers_of_2017_that_were_renamed_since_carry_no_company_of_today(vendors, recordings):
    # PITFALLS 20: FB became META in 2022, PCLN became BKNG in 2018; SEC's list of today knows neither
    rows = [r for page in open_hook("polygon", None).tickers(True) for r in json.loads(page.body)["results"]]
    by_ticker = {row["ticker"]: row for row in rows}
    if not {"FB", "AAPL"} <= set(by_ticker):
        pytest.skip("FB and AAPL are not in these recordings")
    assert "cik" not in by_ticker["FB"]
    assert by_ticker["AAPL"]["cik"] == "0000320193"


def test_older_pages_come_out_of_the_merged_history(vendors, recordings):
    sec = open_hook("sec_edgar", None)
    raw = recordings / "data.sec.gov/submissions/CIK0000320193.json.gz"
    merged = recordings / "data.sec.gov/submissions_merged/CIK0000320193.json.gz"
    if not (raw.exists() and merged.exists()):
        pytest.skip("Apple's submissions, raw and merged, are not in these recordings")
    first = json.loads(sec.submissions(320193).body)["filings"]
    page = json.loads(sec.submissions_page(first["files"][0]["name"]).body)
    assert "0001193125-14-383437" in page["accessionNumber"]  # Apple's 10-K of fiscal 2014, filed 2014-10-27
    assert not set(page["accessionNumber"]) & set(first["recent"]["accessionNumber"])
    assert {len(values) for values in page.values()} == {len(page["accessionNumber"])}


def test_the_index_of_a_day_lists_the_recorded_ownership_documents_that_were_filed_then(recordings):
    # 0001626431-17-000083.metadata.json: Form 4 of MICROSOFT CORP, CIK 789019, filed 2017-09-18
    if not (recordings / "www.sec.gov/ownership/0001626431-17-000083.metadata.json").is_file():
        pytest.skip("the Form 4 of 2017-09-18 is not in these recordings")
    market, day = Recorded(recordings), date(2017, 9, 18)
    listed = parse.index(market.daily_index(day, datetime(2017, 11, 10, 23, tzinfo=UTC)) or b"")
    assert listed.select("accession_no", "form", "filer_ciks").rows() == [("0001626431-17-000083", "4", [789019])]
    assert market.daily_index(day, datetime(2017, 9, 15, 23, tzinfo=UTC)) is None


def test_the_recorded_feed_is_empty_before_its_filings(recordings):
    if not (recordings / "www.sec.gov/cgi-bin/browse-edgar").is_dir():
        pytest.skip("not recorded here: www.sec.gov/cgi-bin/browse-edgar")
    market = Recorded(recordings)
    heights = [
        parse.feed(market.getcurrent("4", 0, 100, datetime(year, 12, 13, 1, tzinfo=UTC))).height
        for year in (2017, 2025)
    ]
    assert heights[0] == 0 < heights[1]


def test_the_market_says_of_which_quarters_13f_is_recorded(recordings):
    # the pairs were filed in the first quarters of 2021 and 2023, the last of 2023, and in January 2025
    if not (recordings / "www.sec.gov/form13f").is_dir():
        pytest.skip("not recorded here: www.sec.gov/form13f")
    assert {"2020Q4", "2022Q4", "2023Q3", "2024Q4"} <= set(Recorded(recordings).quarters)
