"""Listings to securities and tickers over time: renames, re-use, classes, delistings, sectors, index members."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from datetime import date

import polars as pl
import pytest

from closingbell.universe import compute, members, parse
from closingbell.universe.sectors import gics_sector, sector_of_sic, sectors
from closingbell.universe.tickers import normal_ticker, vendor_ticker

DAY = date(2023, 9, 18)
NO_SECURITIES = pl.DataFrame(schema=compute.SECURITIES)
NO_HISTORY = pl.DataFrame(schema=compute.TICKER_HISTORY)


def polygon(*rows: dict) -> pl.DataFrame:
    made = [{"type": "CS", "active": True, "exchange": "XNYS", "name": row["ticker"], **row} for row in rows]
    return pl.DataFrame(made, schema=parse.POLYGON_TICKERS)


def events(*rows: tuple[str, int, str, date]) -> pl.DataFrame:
    made = [{"figi": f, "cik": c, "ticker": t, "valid_from": d} for f, c, t, d in rows]
    return pl.DataFrame(made, schema=parse.TICKER_EVENTS)


def built(listed: pl.DataFrame, before: compute.Universe | None = None, on: date = DAY, **more) -> compute.Universe:
    current = before.securities if before else NO_SECURITIES
    history = before.ticker_history if before else NO_HISTORY
    return compute.securities(compute.listings(polygon=listed), current, history, on=on, **more)


def holder(history: pl.DataFrame, ticker: str, day: date) -> int | None:
    rows = history.filter(
        (pl.col("ticker") == ticker)
        & (pl.col("valid_from") <= day)
        & (pl.col("valid_to").is_null() | (pl.col("valid_to") >= day))
    )
    assert rows.height <= 1, f"{ticker} on {day} is two securities"
    return rows["security_id"][0] if rows.height else None


def merged(before: compute.Universe, after: compute.Universe) -> compute.Universe:
    """The tables after both were published: rows by key, the later wins."""
    securities = pl.concat([after.securities, before.securities]).unique("security_id", keep="first")
    history = pl.concat([after.ticker_history, before.ticker_history]).unique(["ticker", "valid_from"], keep="first")
    securities, history = securities.sort("security_id"), history.sort("ticker", "valid_from")
    return dataclasses.replace(after, securities=securities, ticker_history=history)


# Tickers


@pytest.mark.parametrize(
    ("vendors", "house"),
    [
        (("BRK.B", "BRK-B", "BRK/B", "BRK B", "brk-b"), "BRK.B"),
        (("KIMpL", "KIM-PL", "KIM.PL"), "KIM.PL"),
        (("ETIp", "ETI-P"), "ETI.P"),
        (("XYZ.WS", "XYZ-WT"), "XYZ.WS"),
        (("XYZ.U", "XYZ-UN"), "XYZ.U"),
        (("AAPL", "aapl", " AAPL "), "AAPL"),
    ],
)
def test_every_spelling_of_a_ticker_is_one(vendors, house):
    assert {normal_ticker(ticker) for ticker in vendors} == {house}


def test_a_ticker_is_asked_for_in_the_vendors_own_spelling():
    assert [vendor_ticker("BRK.B", v) for v in ("polygon", "tiingo", "yahoo", "sec_edgar")] == [
        "BRK.B", "BRK-B", "BRK-B", "BRK-B",
    ]  # fmt: skip
    assert vendor_ticker("KIM.PL", "polygon") == "KIMpL"
    assert vendor_ticker("AAPL", "yahoo") == "AAPL"
    for vendor in ("polygon", "yahoo", "sec_edgar"):
        for ticker in ("BRK.B", "KIM.PL", "XYZ.WS", "XYZ.U", "AAPL"):
            assert normal_ticker(vendor_ticker(ticker, vendor)) == ticker


# Securities


def test_ids_are_of_the_company_in_ticker_order_and_stay():
    listed = polygon({"ticker": "GOOGL", "cik": 1652044, "figi": "A"}, {"ticker": "GOOG", "cik": 1652044, "figi": "C"})
    first = built(listed)
    assert first.securities["security_id"].to_list() == [1652044001, 1652044002]
    assert holder(first.ticker_history, "GOOG", DAY) == 1652044001
    again = built(listed, first, date(2023, 9, 25))
    assert again.securities.equals(first.securities)
    assert again.ticker_history.equals(first.ticker_history)
    more = polygon({"ticker": "GOOA", "cik": 1652044, "figi": "B"}, *listed.to_dicts())
    assert built(more, first).securities.filter(pl.col("figi") == "B")["security_id"].to_list() == [1652044003]


def test_without_a_cik_the_id_is_of_the_figi_and_stays_when_the_cik_comes():
    first = built(polygon({"ticker": "SPY", "figi": "BBG000BDTBL9", "type": "ETF"}))
    security_id = first.securities["security_id"][0]
    assert 10**15 <= security_id < 10**15 + 2**40
    later = built(polygon({"ticker": "SPY", "figi": "BBG000BDTBL9", "type": "ETF", "cik": 884394}), first)
    assert later.securities.select("security_id", "cik").rows() == [(security_id, 884394)]


def test_a_rename_by_events_is_one_security_under_two_tickers():
    """FB became META on 2022-06-09; a fund was META before."""
    listed = polygon(
        {"ticker": "META", "cik": 1326801, "figi": "BBG000MM2P62"},
        {"ticker": "METV", "cik": 1683471, "figi": "BBG011K1L3H1", "type": "ETF"},
    )
    known = events(
        ("BBG000MM2P62", 1326801, "FB", date(2012, 5, 18)), ("BBG000MM2P62", 1326801, "META", date(2022, 6, 9)),
        ("BBG011K1L3H1", 1683471, "META", date(2021, 6, 30)), ("BBG011K1L3H1", 1683471, "METV", date(2022, 2, 1)),
    )  # fmt: skip
    universe = built(listed, events=known)
    history = universe.ticker_history
    assert holder(history, "FB", date(2022, 6, 8)) == 1326801001
    assert holder(history, "FB", date(2022, 6, 9)) is None
    assert holder(history, "META", date(2022, 6, 9)) == 1326801001
    assert holder(history, "META", date(2022, 1, 31)) == 1683471001
    assert holder(history, "META", date(2022, 3, 1)) is None
    assert not history["assumed"].any()


def test_a_rename_without_events_is_seen_between_two_runs():
    before = built(polygon({"ticker": "OLDN", "cik": 77}, {"ticker": "KEEP", "cik": 78}))
    after = built(polygon({"ticker": "NEWN", "cik": 77}, {"ticker": "KEEP", "cik": 78}), before)
    assert after.securities["security_id"].to_list() == [77001, 78001]
    assert holder(after.ticker_history, "OLDN", date(2023, 9, 17)) == 77001
    assert holder(after.ticker_history, "OLDN", DAY) is None
    assert holder(after.ticker_history, "NEWN", DAY) == 77001


def test_a_second_class_beside_the_first_is_no_rename():
    before = built(polygon({"ticker": "ABC", "cik": 77}))
    after = built(polygon({"ticker": "ABC", "cik": 77}, {"ticker": "ABCB", "cik": 77}), before)
    assert after.securities["security_id"].to_list() == [77001, 77002]


def test_a_reused_ticker_is_two_securities_one_after_the_other():
    """polygon-io/issues#110: ES was another company's before it was Eversource's."""
    listed = polygon(
        {"ticker": "ES", "cik": 72741, "figi": "NEW"},
        {"ticker": "ES", "cik": 1000, "figi": "OLD", "active": False, "delisted_on": date(2008, 6, 30)},
    )
    universe = built(listed)
    assert holder(universe.ticker_history, "ES", date(2005, 1, 3)) == 1000001
    assert holder(universe.ticker_history, "ES", date(2008, 7, 1)) == 72741001
    assert holder(universe.ticker_history, "ES", DAY) == 72741001
    assert built(listed, universe).ticker_history.equals(universe.ticker_history)
    old = universe.securities.filter(pl.col("security_id") == 1000001)
    assert old["last_session"].to_list() == [date(2008, 6, 30)]


def test_a_ticker_that_changes_hands_between_two_runs_ends_and_begins():
    before = built(polygon({"ticker": "ES", "cik": 1000}))
    after = merged(before, built(polygon({"ticker": "ES", "cik": 72741}), before))
    assert holder(after.ticker_history, "ES", date(2023, 9, 17)) == 1000001
    assert holder(after.ticker_history, "ES", DAY) == 72741001


def test_an_old_holder_that_comes_to_light_late_takes_its_own_years_only():
    before = built(polygon({"ticker": "ES", "cik": 72741, "figi": "NEW"}))
    assert holder(before.ticker_history, "ES", date(2005, 1, 3)) == 72741001
    listed = polygon(
        {"ticker": "ES", "cik": 72741, "figi": "NEW"},
        {"ticker": "ES", "cik": 1000, "figi": "OLD", "active": False, "delisted_on": date(2008, 6, 30)},
    )
    after = merged(before, built(listed, before))
    assert holder(after.ticker_history, "ES", date(2005, 1, 3)) == 1000001
    assert holder(after.ticker_history, "ES", date(2020, 1, 2)) == 72741001


def test_an_interval_that_never_was_ends_the_day_before_it_began_and_takes_nobodys_days():
    listed = polygon({"ticker": "OLDT", "cik": 77, "figi": "F"})
    before = built(listed, events=events(("F", 77, "OLDT", date(2020, 1, 2))))
    renamed = polygon({"ticker": "NEWT", "cik": 77, "figi": "F"}, {"ticker": "OLDT", "cik": 78, "figi": "G"})
    told = events(("F", 77, "NEWT", date(2015, 1, 2)), ("G", 78, "OLDT", date(2010, 1, 4)))
    after = merged(before, built(renamed, before, events=told))
    void = after.ticker_history.row(by_predicate=pl.col("valid_from") == date(2020, 1, 2), named=True)
    assert (void["ticker"], void["valid_to"]) == ("OLDT", date(2020, 1, 1))
    again = merged(after, built(renamed, after, events=told))
    assert not again.ticker_history.select("ticker", "valid_from").is_duplicated().any()
    assert again.ticker_history.drop("landing_id").equals(after.ticker_history.drop("landing_id"))
    assert holder(again.ticker_history, "OLDT", date(2022, 3, 1)) == 78001
    assert holder(again.ticker_history, "NEWT", date(2022, 3, 1)) == 77001


def test_delisting_needs_a_vendors_day_and_falls_on_a_session():
    """delisted_utc 2019-06-01T04:00:00Z is midnight of a Saturday in New York: the last session is Friday's."""
    body = json.dumps(
        {
            "status": "OK",
            "results": [
                {
                    "ticker": "GONE", "name": "Gone Inc.", "market": "stocks", "locale": "us", "type": "CS",
                    "active": False, "cik": "0000000077", "delisted_utc": "2019-06-01T04:00:00Z",
                }
            ],
        }
    ).encode()  # fmt: skip
    universe = built(parse.polygon_tickers(body))
    assert universe.securities["last_session"].to_list() == [date(2019, 5, 31)]
    # absence from a later list is no delisting
    listed = built(polygon({"ticker": "AAA", "cik": 1}, {"ticker": "BBB", "cik": 2}))
    assert merged(listed, built(polygon({"ticker": "AAA", "cik": 1}), listed)).securities["last_session"].to_list() == [
        None,
        None,
    ]


def test_share_classes_come_from_suffix_or_name_and_ratios_from_converted_shares():
    details = pl.DataFrame(
        [
            {
                "ticker": "BRK.A",
                "cik": 1067983,
                "active": True,
                "class_shares": 5e5,
                "all_shares": 1.44e6,
                "details_on": DAY,
            },
            {
                "ticker": "BRK.B",
                "cik": 1067983,
                "active": True,
                "class_shares": 1.3e9,
                "all_shares": 2.16e9,
                "details_on": DAY,
            },
        ],
        schema=parse.TICKER_DETAILS,
    )
    listed = polygon(
        {"ticker": "BRK.A", "cik": 1067983}, {"ticker": "BRK.B", "cik": 1067983},
        {"ticker": "GOOG", "cik": 1652044, "name": "Alphabet Inc. Class C Capital Stock"},
        {"ticker": "GOOGL", "cik": 1652044, "name": "Alphabet Inc. Class A Common Stock"},
    )  # fmt: skip
    for with_details in (details, None):
        rows = compute.securities(
            compute.listings(polygon=listed, details=with_details), NO_SECURITIES, NO_HISTORY, on=DAY
        ).securities
        assert rows["share_class"].to_list() == ["A", "B", "C", "A"]
        assert rows["shares_per_base"].to_list() == [1500, 1, 1, 1]
    assert rows.schema == compute.SECURITIES | compute.LANDING


SHARES = {
    # a company's tickers in SEC's order, those of its common shares; recorded, but for the first two
    "Acme Inc": ("ACME ACMEW ACMEU ACMEP ACME.PA ACME.WTA", "ACME"),
    "Another Inc": ("SNOWW", "SNOWW"),  # a fifth letter says something only beside the company's other tickers
    "Alphabet Inc.": ("GOOGL GOOG GOOGM GOOGN", "GOOGL GOOG"),
    "BERKSHIRE HATHAWAY INC": ("BRK.B BRK.A", "BRK.B BRK.A"),
    "Fox Corp": ("FOXA FOX", "FOXA FOX"),
    "LENNAR CORP /NEW/": ("LEN LEN.B", "LEN LEN.B"),
    "HEICO CORP": ("HEI HEI.A", "HEI HEI.A"),
    "Under Armour, Inc.": ("UAA UA", "UAA UA"),
    "NEWS CORP": ("NWSA NWS NWSLL", "NWSA NWS"),
    "Liberty Global Ltd.": ("LBTYA LBTYB LBTYK", "LBTYA LBTYB LBTYK"),
    "Liberty Broadband Corp": ("LBRDA LBRDB LBRDK LBRDP", "LBRDA LBRDB LBRDK"),
    "PRUDENTIAL FINANCIAL INC": ("PRU PFH PRH PRS", "PRU"),
    "CMS ENERGY CORP": ("CMS CMSA CMSC CMSD CMS.PC", "CMS"),
    "DTE ENERGY CO": ("DTE DTW DTB DTK DTG", "DTE"),
    "SOUTHERN CO": ("SO SOJC SOJD SOJF SOJE SOMN", "SO"),
    "JPMORGAN CHASE & CO": ("JPM JPM.PC VYLD AMJB JPM.PD", "JPM"),
    "AT&T INC.": ("T TBB T.PA T.PC", "T"),
    "Strategy Inc": ("MSTR STRC STRF STRK STRD", "MSTR"),
    "FUELCELL ENERGY INC": ("FCEL FCELB", "FCEL"),
    "Brookfield Infrastructure Partners L.P.": ("BIPH BIP BIPJ BRIPF BIPI BIP.PA", "BIP"),
    "Athene Holding Ltd.": ("ATH.PA ATHS ATH.PB", ""),
    "CHS INC": ("CHSCP CHSCL CHSCM CHSCN CHSCO", ""),
    "Biglari Holdings Inc.": ("BH.A BH", "BH.A BH"),
    "Bayview Acquisition Corp": ("BAYAU BAYA BAYAR", "BAYA"),
    "SPDR S&P 500 ETF TRUST": ("SPY", ""),
}


@pytest.mark.parametrize("name", SHARES)
def test_a_note_or_preferred_is_no_share_and_a_second_class_is_one(name):
    tickers, shares = (text.split() for text in SHARES[name])
    stated = {"Alphabet Inc.": 1652044, "Fox Corp": 1754301, "Under Armour, Inc.": 1336917, "NEWS CORP": 1564708}
    cik = stated.get(name, 1)
    types = {ticker: compute.inferred_type(ticker, name, tickers, cik) for ticker in tickers}
    assert [ticker for ticker in tickers if types[ticker] == "CS"] == shares, types


def test_marks_of_a_ticker_are_types_of_their_own():
    tickers = ["ACME", "ACMEW", "ACMEU", "ACMEP", "ACMEZ", "ACME.PA", "ACME.WI"]
    inferred = {ticker: compute.inferred_type(ticker, "Acme Inc", tickers, 1) for ticker in tickers}
    assert inferred == {
        "ACME": "CS", "ACMEW": "WARRANT", "ACMEU": "UNIT", "ACMEP": "PFD", "ACMEZ": "OTHER", "ACME.PA": "PFD",
        "ACME.WI": "OTHER",
    }  # fmt: skip
    assert compute.inferred_type("SPY", "SPDR S&P 500 ETF TRUST") == "ETF"
    # receipts over the counter, beside the company's own shares
    assert compute.inferred_type("AMVOY", "AUMOVIO SE", ["AMVIF", "AMVOY"], 2085236) == "ADRC"
    assert compute.inferred_type("SPIIY", "SPIE SA/ADR", ["SPIIY", "SPIWF"], 2083221) == "ADRC"
    assert compute.inferred_type("SPIWF", "SPIE SA/ADR", ["SPIIY", "SPIWF"], 2083221) == "CS"


def sec(*rows: tuple[int, str]) -> pl.DataFrame:
    made = [{"cik": cik, "ticker": ticker, "name": f"Company {cik}"} for cik, ticker in rows]
    return pl.DataFrame(made, schema=parse.COMPANY_TICKERS)


def test_an_inferred_type_says_so_and_yields_to_a_vendors_which_stays():
    on_secs_list = sec((1137774, "PRU"), (1137774, "PRH"), (46619, "HEI"), (46619, "HEI.A"))
    first = compute.securities(compute.listings(company_tickers=on_secs_list), NO_SECURITIES, NO_HISTORY, on=DAY)
    seen = ["security_id", "type", "type_inferred"]
    ids = {ticker: holder(first.ticker_history, ticker, DAY) for ticker in ("PRU", "PRH", "HEI", "HEI.A")}
    assert dict(zip(*first.securities.select("security_id", "type"), strict=True)) == {
        ids["PRU"]: "CS", ids["PRH"]: "OTHER", ids["HEI"]: "CS", ids["HEI.A"]: "CS"
    }  # fmt: skip
    assert first.securities["type_inferred"].all()
    assert first.problems["problem"].to_list() == ["unknown_type"]
    assert first.problems["key"].to_list() == ["PRH"]
    typed = polygon({"ticker": "PRU", "cik": 1137774}, {"ticker": "PRH", "cik": 1137774, "type": "PFD"})
    before = first.securities.drop("landing_id"), first.ticker_history.drop("landing_id")
    second = compute.securities(compute.listings(polygon=typed, company_tickers=on_secs_list), *before, on=DAY)
    known = second.securities.select(seen).rows()
    assert set(known) == {
        (ids["HEI"], "CS", True), (ids["HEI.A"], "CS", True), (ids["PRU"], "CS", False), (ids["PRH"], "PFD", False)
    }  # fmt: skip
    # without the vendor again, what it said is still true
    after = second.securities.drop("landing_id"), second.ticker_history.drop("landing_id")
    third = compute.securities(compute.listings(company_tickers=on_secs_list), *after, on=DAY)
    assert third.securities.select(seen).rows() == known


def test_what_was_taken_for_a_share_before_keeps_its_id_when_it_is_none():
    taken = sec((1137774, "PRU"), (1137774, "PRH"))
    first = compute.securities(compute.listings(company_tickers=taken), NO_SECURITIES, NO_HISTORY, on=DAY)
    as_before = first.securities.drop("landing_id").with_columns(type=pl.lit("CS"))
    again = compute.securities(
        compute.listings(company_tickers=taken), as_before, first.ticker_history.drop("landing_id"), on=DAY
    )
    assert again.securities.equals(first.securities)


def test_tiingo_names_funds_and_the_operators_table_shares():
    issuer = sec((9, "AGQ"), (9, "BOIL"), (8, "FCEL"), (8, "FCELB"))
    kinds = [{"ticker": t, "asset_type": k} for t, k in (("AGQ", "ETF"), ("BOIL", "ETF"), ("FCEL", "Stock"))]
    supported = pl.DataFrame(kinds, schema=parse.SUPPORTED_TICKERS)
    stocks = pl.DataFrame([{"ticker": "FCELB", "name": "FuelCell"}], schema=parse.STOCKS)
    found = compute.listings(company_tickers=issuer, supported=supported, stocks=stocks)
    assert found.select("ticker", "type", "type_inferred").rows() == [
        ("AGQ", "ETF", False), ("BOIL", "ETF", False), ("FCEL", "CS", True), ("FCELB", "CS", True)
    ]  # fmt: skip


def test_the_first_day_of_a_listing_is_the_vendors_else_assumed():
    details = pl.DataFrame(
        [{"ticker": "IPO", "cik": 5, "active": True, "listed_on": date(2020, 9, 16), "details_on": DAY}],
        schema=parse.TICKER_DETAILS,
    )
    supported = pl.DataFrame(
        [("OLD", "NYSE", "Stock", "USD", date(1999, 5, 3), DAY)], schema=parse.SUPPORTED_TICKERS, orient="row"
    )
    listed = compute.listings(
        polygon=polygon({"ticker": "IPO", "cik": 5}, {"ticker": "OLD", "cik": 6}, {"ticker": "UNK", "cik": 7}),
        details=details,
        supported=supported,
    )
    history = compute.securities(listed, NO_SECURITIES, NO_HISTORY, on=DAY).ticker_history
    assert history.select("ticker", "valid_from", "assumed").rows() == [
        ("IPO", date(2020, 9, 16), False),
        ("OLD", date(1999, 5, 3), False),
        ("UNK", compute.FIRST, True),
    ]


# Companies and sectors


def test_a_new_version_of_a_company_only_where_something_changed():
    observed = pl.DataFrame(
        [{"cik": 1, "name": "A", "sic": 3571, "sector": "Information Technology", "sector_source": "sic"}],
        schema=compute.COMPANIES,
    )
    first = members.companies(observed, pl.DataFrame(schema=compute.COMPANIES), on=DAY)
    assert first["valid_from"].to_list() == [DAY]
    assert members.companies(observed, first, on=date(2023, 9, 25)).is_empty()
    # what is not said this time stays
    silent = observed.with_columns(pl.lit(None, dtype=pl.Int32).alias("sic"))
    assert members.companies(silent, first, on=date(2023, 9, 25)).is_empty()
    renamed = observed.with_columns(pl.lit("B").alias("name"))
    second = members.companies(renamed, first, on=date(2023, 9, 25))
    assert second.select("cik", "valid_from", "name", "sic").rows() == [(1, date(2023, 9, 25), "B", 3571)]


def test_the_sector_is_sp500s_then_the_operators_then_sics():
    observed = pl.DataFrame([{"cik": i, "name": "x", "sic": 3841} for i in (1, 2, 3, 4)], schema=compute.COMPANIES)
    observed = observed.with_columns(sic=pl.when(pl.col("cik") == 4).then(6770).otherwise("sic").cast(pl.Int32))
    chosen = members.with_sectors(
        observed,
        sp500=pl.DataFrame({"cik": [1], "sector": ["Industrials"]}),
        operator=pl.DataFrame({"cik": [1, 2], "sector": ["Energy", "Energy"]}),
    )
    assert chosen.select("cik", "sector", "sector_source").rows() == [
        (1, "Industrials", "sp500"), (2, "Energy", "operator"), (3, "Health Care", "sic"), (4, None, None),
    ]  # fmt: skip


def test_every_four_digit_sic_code_has_a_sector_or_says_it_has_none():
    # the major groups of the classification; 6770 and 8880 are wrappers of no business
    groups = [
        1,
        2,
        *range(7, 11),
        *range(12, 18),
        *range(20, 43),
        *range(44, 66),
        67,
        70,
        72,
        73,
        75,
        76,
        *range(78, 85),
    ]
    groups += [86, 87, 89]
    without = [
        code for group in groups for code in range(100 * group, 100 * group + 100) if sector_of_sic(code) is None
    ]
    assert without == [6770]
    assert sector_of_sic(8880) is None
    assert {sector_of_sic(code) for code in range(100, 9000)} - {None} == set(sectors())
    assert len(sectors()) == 11
    assert sector_of_sic(None) is None


@pytest.mark.parametrize(
    ("sic", "sector"),
    [
        (3571, "Information Technology"), (2834, "Health Care"), (6022, "Financials"), (6798, "Real Estate"),
        (4911, "Utilities"), (1311, "Energy"), (5331, "Consumer Staples"), (5812, "Consumer Discretionary"),
        (4833, "Communication Services"), (3560, "Industrials"), (2860, "Materials"), (6324, "Health Care"),
        (7372, "Information Technology"), (5651, "Consumer Discretionary"), (2000, "Consumer Staples"),
    ],
)  # fmt: skip
def test_sic_codes_of_the_plainest_industries(sic, sector):
    assert sector_of_sic(sic) == sector


def test_spellings_of_sectors():
    assert gics_sector("Technology") == gics_sector("information technology") == "Information Technology"
    assert gics_sector("Healthcare") == "Health Care"
    assert gics_sector("Consumer Cyclical") == "Consumer Discretionary"
    assert gics_sector("Aviation") is None
    assert gics_sector(None) is None


# Index members


def of_index(*rows: tuple, names: tuple[str, ...] = ("security_id", "rank")) -> pl.DataFrame:
    schema = {"security_id": pl.Int64, "rank": pl.Int32, "added_on": pl.Date}
    return pl.DataFrame(list(rows), schema={name: schema[name] for name in names}, orient="row")


def published(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([after, before]).unique(["index_name", "security_id", "valid_from"], keep="first")


def test_members_leave_and_come_back_as_intervals():
    none = pl.DataFrame(schema=compute.INDEX_MEMBERS)
    added = of_index((1, date(1990, 3, 1)), (2, date(2020, 1, 2)), names=("security_id", "added_on"))
    first = members.index_members("sp500", added, none, on=DAY)
    assert first["valid_from"].to_list() == [date(1990, 3, 1), date(2020, 1, 2)]
    out_on, back_on = date(2023, 12, 18), date(2024, 3, 18)
    second = published(first, members.index_members("sp500", added.head(1), first, on=out_on))
    assert second.filter(pl.col("security_id") == 2)["valid_to"].to_list() == [date(2023, 12, 17)]
    third = published(second, members.index_members("sp500", added, second, on=back_on))
    two = third.filter(pl.col("security_id") == 2).sort("valid_from")
    # the list's added_on of 2020 reaches into the first membership: back from the day it was seen
    assert two.select("valid_from", "valid_to").rows() == [(date(2020, 1, 2), date(2023, 12, 17)), (back_on, None)]
    again = members.index_members("sp500", added, third, on=back_on)
    assert published(third, again).sort("security_id", "valid_from").equals(third.sort("security_id", "valid_from"))


def test_a_rank_that_changes_begins_a_new_interval():
    none = pl.DataFrame(schema=compute.INDEX_MEMBERS)
    first = members.index_members("fortune500", of_index((1, 10)), none, on=DAY)
    later = members.index_members("fortune500", of_index((1, 8)), first, on=date(2024, 6, 4))
    assert later.select("valid_from", "valid_to", "rank").rows() == [
        (DAY, date(2024, 6, 3), 10), (date(2024, 6, 4), None, 8),
    ]  # fmt: skip


def test_a_list_is_matched_by_ticker_then_cik_then_name_and_the_rest_is_listed():
    universe = built(
        polygon(
            {"ticker": "JPM", "cik": 19617, "name": "JPMORGAN CHASE & CO"},
            {"ticker": "WMT", "cik": 104169, "name": "Walmart Inc."},
            {"ticker": "TGT", "cik": 27419, "name": "TARGET CORP"},
            {"ticker": "CBDY", "cik": 1586554, "name": "TARGET GROUP INC."},
            {"ticker": "ES", "cik": 72741, "name": "EVERSOURCE ENERGY"},
        )
    )  # fmt: skip
    ranked = parse.fortune500(
        b"Rank,Company,Ticker\n1,Walmart,WMT\n21,J.P. Morgan Chase,\n38,Target,\n33,State Farm Insurance Cos.,\n"
    ).rows
    matched, problems = members.match_members(ranked, universe.securities, universe.ticker_history, on=DAY)
    assert matched.select("rank", "security_id").rows() == [(1, 104169001), (21, 19617001), (38, 27419001)]
    assert problems["key"].to_list() == ["State Farm Insurance Cos."]
    assert "(rank 33)" in problems["detail"][0]


def test_a_list_with_another_cik_means_who_bears_its_ticker_unless_it_was_re_used():
    """The recorded S&P 500 has XOM under CIK 2115436, SEC's list under 34088."""
    tickers = polygon(
        {"ticker": "XOM", "cik": 34088, "name": "EXXON MOBIL CORP"},
        {"ticker": "ES", "cik": 72741, "name": "EVERSOURCE ENERGY"},
        {"ticker": "ES", "cik": 1000, "name": "Old ES", "active": False, "delisted_on": date(2015, 2, 18)},
        {"ticker": "FB", "cik": 2000, "name": "New FB"},
        {"ticker": "META", "cik": 1326801, "name": "Meta Platforms"},
    )  # fmt: skip
    universe = built(tickers)
    listed = pl.DataFrame(
        [("XOM", 2115436, "ExxonMobil"), ("ES", 1000, "Old ES"), ("FB", 1326801, "Meta Platforms")],
        schema=["ticker", "cik", "name"], orient="row",
    )  # fmt: skip
    matched, problems = members.match_members(listed, universe.securities, universe.ticker_history, on=DAY)
    assert matched.select("ticker", "security_id").rows() == [("XOM", 34088001), ("FB", 1326801001)]
    said = problems.filter(problem="disagreeing")
    assert said["key"].to_list() == ["XOM", "ES", "FB"]
    assert "CIK 2115436 in the list" in said["detail"][0]
    assert "CIK 34088, here: taken as security 34088001" in said["detail"][0]
    assert problems.filter(problem="unmatched")["key"].to_list() == ["ES"]
    ciks = members.with_listed_ciks(listed, compute.listings(polygon=tickers))["cik"]
    assert ciks.to_list() == [34088, 1000, 1326801]


# Parsers


def test_company_tickers_in_both_shapes():
    old = b'{"0": {"cik_str": 1067983, "ticker": "BRK-B", "title": "BERKSHIRE HATHAWAY INC"}}'
    fields = b'"fields": ["cik", "name", "ticker", "exchange"]'
    new = b"{" + fields + b', "data": [[1067983, "BERKSHIRE HATHAWAY INC", "BRK-B", "NYSE"]]}'
    assert parse.company_tickers(old).row(0) == (1067983, "BRK.B", "BERKSHIRE HATHAWAY INC", None)
    assert parse.company_tickers(new).row(0) == (1067983, "BRK.B", "BERKSHIRE HATHAWAY INC", "NYSE")
    with pytest.raises(ValueError, match="sec_edgar company_tickers: column title is missing"):
        parse.company_tickers(b'{"0": {"cik_str": 1, "ticker": "A"}}')
    with pytest.raises(ValueError, match="no companies at all"):
        parse.company_tickers(b"{}")
    with pytest.raises(ValueError, match="is not JSON"):
        parse.company_tickers(b"<html>")


def test_fortune500_headers_in_any_reasonable_spelling():
    for header in ("Rank,Name", "\ufeffRANK,NAME", "Ranking,Company Name", "rank,Title", "RANK , Company"):
        rows = parse.fortune500(f"{header}\n1,Walmart\n".encode()).rows
        assert rows.select("rank", "name").rows() == [(1, "Walmart")], header
    with pytest.raises(ValueError, match="operator fortune500: column rank is missing"):
        parse.fortune500(b"Name\nWalmart\n")


def test_fortune500_says_which_ranks_are_missing_twice_or_beyond():
    lines = [
        f"{rank},Company {rank},,{'Energy' if rank == 7 else ''}" for rank in range(1, 501) if rank not in (3, 4, 9)
    ]
    body = "\n".join(
        ["Rank,Name,Symbol,Sector", *lines, "5,Tied Inc,,", "501,Beyond,,", ",No rank,,", "12,X,,Aviation"]
    )
    ranked = parse.fortune500(body.encode())
    said = dict(ranked.problems.select("problem", "detail").rows())
    assert said["missing_ranks"] == "3 of 500: 3-4, 9"
    assert said["repeated_ranks"] == "claimed more than once: 5, 12"
    assert said["beyond_500"].endswith("501")
    assert "'Aviation' is no GICS sector" in said["unknown_sector"]
    assert "no_rank" in said
    assert ranked.rows.height == 499
    assert ranked.rows.filter(pl.col("rank") == 7)["sector"].to_list() == ["Energy"]


def test_an_operators_stocks_table():
    frame = pl.DataFrame(
        {
            "Symbol": ["brk-b", "AAPL", None],
            "Name": ["B", "A", "C"],
            "CIK": ["0001067983", "320193", None],
            "Sector": ["Financial Services", "?", None],
        }
    )  # fmt: skip
    assert parse.stocks(frame).rows() == [("BRK.B", "B", 1067983, "Financials"), ("AAPL", "A", 320193, None)]
    assert parse.stocks(frame.select("Symbol", "Name")).rows()[0] == ("BRK.B", "B", None, None)
    with pytest.raises(ValueError, match="operator stocks: column name is missing"):
        parse.stocks(frame.select("Symbol"))


def test_tiingos_list_in_its_zip():
    text = (
        "ticker,exchange,assetType,priceCurrency,startDate,endDate\n"
        "BRK-B,NYSE,Stock,USD,1996-05-09,2023-09-15\n000001,SHE,Stock,CNY,2007-08-30,2019-10-18\nNEW,NYSE,Stock,USD,,\n"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("supported_tickers.csv", text)
    for body in (packed.getvalue(), text.encode()):
        rows = parse.supported_tickers(body)
        assert rows["ticker"].to_list() == ["BRK.B", "NEW"]
        assert rows["first_day"].to_list() == [date(1996, 5, 9), None]


def test_an_sp500_table_with_a_sector_that_is_none_is_refused():
    head = b"Symbol,Security,GICS Sector,GICS Sub-Industry,Headquarters Location,Date added,CIK,Founded\n"
    row = parse.sp500(head + b"BRK.B,Berkshire Hathaway,Financials,x,y,2010-02-16,1067983,1839\n").row(0, named=True)
    assert (row["ticker"], row["sector"], row["cik"], row["added_on"]) == (
        "BRK.B",
        "Financials",
        1067983,
        date(2010, 2, 16),
    )
    with pytest.raises(ValueError, match="column GICS Sector has 'Tobacco', no GICS sector"):
        parse.sp500(head + b"MO,Altria,Tobacco,x,y,1957-03-04,764180,1985\n")


def test_otc_and_foreign_listings_of_a_page_are_left_out():
    rows = [
        {"ticker": "A", "name": "Agilent", "market": "stocks", "locale": "us", "type": "CS", "cik": "0001090872"},
        {"ticker": "BTC", "name": "Bitcoin", "market": "crypto", "locale": "global"},
    ]
    assert parse.polygon_tickers(json.dumps({"results": rows, "status": "OK"}).encode())["ticker"].to_list() == ["A"]
    with pytest.raises(ValueError, match="polygon tickers: column locale is missing"):
        parse.polygon_tickers(b'{"results": [{"ticker": "A", "name": "A", "market": "stocks"}]}')
