"""Recorded lists, submissions and constituents through the universe room; how well SIC stands for GICS."""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from closingbell.universe import compute, members, parse
from closingbell.universe.sectors import sector_of_sic

pytestmark = pytest.mark.real

DAY = date(2026, 8, 3)
MOCKS = "polygon/client_python_mocks"
ACCURACY_FLOOR = 0.75
"""Share of S&P 500 companies whose SIC leads to their GICS sector. SIC is a filer's own choice of 1987's industries: 3M
files as surgical instruments, GE as electrical equipment."""


def recorded(recordings: Path, path: str) -> bytes:
    file = recordings / path
    if not file.is_file():
        pytest.skip(f"not recorded here: {path}")
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


@pytest.fixture(scope="module")
def universe(recordings) -> compute.Universe:
    listed = compute.listings(
        company_tickers=parse.company_tickers(recorded(recordings, "www.sec.gov/files/company_tickers.json.gz"))
    )
    empty = pl.DataFrame(schema=compute.SECURITIES), pl.DataFrame(schema=compute.TICKER_HISTORY)
    return compute.securities(listed, *empty, on=DAY)


def test_the_official_ticker_list_is_read_in_its_newer_and_older_form(recordings):
    newer = parse.company_tickers(recorded(recordings, "www.sec.gov/files/company_tickers.json.gz"))
    older = parse.company_tickers(recorded(recordings, "www.sec.gov/files/company_tickers_older.json.gz"))
    for frame in (newer, older):
        assert frame.filter(pl.col("ticker") == "AAPL")["cik"].to_list() == [320193]
        assert frame.filter(pl.col("ticker") == "BRK.B")["cik"].to_list() == [1067983]
        assert frame["ticker"].is_unique().all()
    assert newer.height > 9000


def test_a_second_list_months_apart_keeps_every_id(recordings):
    """Between the two recorded lists companies were renamed, listed and delisted; nobody changes its id."""
    older = parse.company_tickers(recorded(recordings, "www.sec.gov/files/company_tickers_older.json.gz"))
    newer = parse.company_tickers(recorded(recordings, "www.sec.gov/files/company_tickers.json.gz"))
    empty = pl.DataFrame(schema=compute.SECURITIES), pl.DataFrame(schema=compute.TICKER_HISTORY)
    first = compute.securities(compute.listings(company_tickers=older), *empty, on=date(2024, 1, 2))
    second = compute.securities(compute.listings(company_tickers=newer), first.securities, first.ticker_history, on=DAY)
    history = pl.concat([second.ticker_history, first.ticker_history]).unique(["ticker", "valid_from"], keep="first")
    for day in (date(2024, 6, 3), DAY):
        held = history.filter(
            (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") >= day))
        )
        assert held["ticker"].is_unique().all(), f"a ticker is two securities on {day}"
    both = first.ticker_history.join(second.securities.select("security_id", "cik"), on="security_id")
    assert (both["cik"] == both["security_id"] // 1000).all()
    apple = history.filter(pl.col("ticker") == "AAPL")["security_id"].to_list()
    assert apple == [320193001]


def test_preferreds_warrants_and_units_of_the_official_list_are_not_scored(universe):
    types = dict(universe.securities.group_by("type").len().rows())
    assert types["PFD"] > 300
    assert types["WARRANT"] > 200
    assert types["CS"] > 5000
    fannie = universe.securities.filter(pl.col("cik") == 36104)  # U.S. Bancorp: one common, six preferreds
    assert fannie["type"].to_list().count("CS") == 1


def test_notes_of_the_official_list_are_no_shares_and_no_type_is_said_to_be_known(universe):
    """A company has one share, or classes of it; Prudential's notes and Strategy's preferreds are none."""
    assert universe.securities["type_inferred"].all()
    shares = universe.securities.filter(pl.col("type") == "CS").join(universe.ticker_history, on="security_id")
    for tickers in (
        "PRU", "CMS", "DTE", "SO", "T", "JPM", "AFG", "MSTR", "BIP", "GOOG GOOGL", "BRK.A BRK.B", "FOX FOXA",
        "LEN LEN.B",
        "UA UAA", "HEI HEI.A", "NWS NWSA", "LBTYA LBTYB LBTYK", "BF.A BF.B", "FCNCA FCNCB", "Z ZG", "CENT CENTA",
    ):  # fmt: skip
        cik = shares.filter(pl.col("ticker") == tickers.split()[0])["cik"][0]
        assert shares.filter(pl.col("cik") == cik)["ticker"].sort().to_list() == tickers.split()


def test_googl_and_goog_are_two_securities_of_one_company(universe):
    history = universe.ticker_history
    ids = {t: history.filter(pl.col("ticker") == t)["security_id"][0] for t in ("GOOG", "GOOGL")}
    assert ids == {"GOOG": 1652044001, "GOOGL": 1652044002}


def test_every_member_of_the_recorded_sp500_is_matched(recordings, universe):
    sp500 = parse.sp500(recorded(recordings, "reference/sp500_constituents.csv"))
    matched, problems = members.match_members(sp500, universe.securities, universe.ticker_history, on=DAY)
    assert sp500.height >= 500
    assert problems.select("problem", "key").rows() == [("disagreeing", "XOM")]  # CIK 2115436 or 34088
    assert matched.filter(ticker="XOM")["security_id"].to_list() == [34088001]
    assert matched["security_id"].is_unique().all()


def test_the_recorded_fortune_500_of_2017_is_whole_and_mostly_matched(recordings, universe):
    """Rank 1 is Walmart. Of 500 in 2017, mutuals and private companies never had a ticker and many are gone by 2026."""
    ranked = parse.fortune500(recorded(recordings, "reference/fortune500_hifld_2017.csv"))
    assert ranked.rows.height == 500
    assert ranked.problems.is_empty()
    matched, problems = members.match_members(ranked.rows, universe.securities, universe.ticker_history, on=DAY)
    print(f"\nFortune 500 of 2017 matched by name: {matched.height} of 500")
    assert matched.height >= 320
    assert matched.height + problems.height == 500
    assert matched.filter(pl.col("rank") == 1)["security_id"].to_list() == [104169001]


def sic_codes(recordings: Path) -> dict[int, int]:
    found = {}
    for file in (recordings / "data.sec.gov").glob("submissions*/CIK*.json.gz"):
        answer = json.loads(gzip.decompress(file.read_bytes()))
        if answer.get("sic"):
            found[int(answer["cik"])] = int(answer["sic"])
    for file in (recordings / "www.sec.gov/ownership").glob("*.metadata.json"):
        for issuer in json.loads(file.read_bytes())["submission"].get("ISSUER", []):
            company = issuer["COMPANY-DATA"]
            if company.get("ASSIGNED-SIC"):
                found.setdefault(int(company["CIK"]), int(company["ASSIGNED-SIC"]))
    return found


def test_sic_leads_to_the_gics_sector_often_enough(recordings):
    sp500 = parse.sp500(recorded(recordings, "reference/sp500_constituents.csv")).unique("cik")
    codes = sic_codes(recordings)
    compared = [
        (row["name"], codes[row["cik"]], row["sector"], sector_of_sic(codes[row["cik"]]))
        for row in sp500.iter_rows(named=True)
        if row["cik"] in codes
    ]
    if len(compared) < 20:
        pytest.skip(f"only {len(compared)} S&P 500 companies have a recorded SIC code")
    right = sum(gics == sic for _, _, gics, sic in compared)
    print(f"\nSIC to GICS: {right} of {len(compared)} right ({right / len(compared):.0%})")
    for name, code, gics, sic in sorted(compared):
        if gics != sic:
            print(f"  {name}: SIC {code} gives {sic}, S&P says {gics}")
    assert right / len(compared) >= ACCURACY_FLOOR


def test_recorded_meta_events_are_fb_then_meta(recordings):
    events = parse.ticker_events(
        recorded(recordings, f"{MOCKS}/vX/reference/tickers/META/events&types=ticker_change.json")
    )
    assert events.select("ticker", "valid_from").rows() == [("FB", date(2012, 5, 18)), ("META", date(2022, 6, 11))]


def test_recorded_ticker_details_of_apple(recordings):
    row = parse.ticker_details(recorded(recordings, f"{MOCKS}/v3/reference/tickers/AAPL.json"), on=DAY).row(
        0, named=True
    )
    assert (row["cik"], row["listed_on"], row["sic"], row["class_shares"]) == (
        320193,
        date(1980, 12, 12),
        3571,
        16319440000,
    )
