"""Recorded feed pages, indexes and ownership documents through the insiders' room; numbers read by hand in the XML."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from closingbell import edgar
from closingbell.insiders import compute, parse

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def folder(recordings: Path) -> Path:
    folder = recordings / "www.sec.gov/ownership"
    if not folder.is_dir():
        pytest.skip("not recorded here: www.sec.gov/ownership")
    return folder


@pytest.fixture(scope="module")
def ownership(folder: Path) -> parse.Parsed:
    headers = [edgar.metadata_header(file.read_bytes()) for file in folder.glob("*.metadata.json")]
    headers += [edgar.submission_header(file.read_bytes()) for kind in ("*.nc", "*.txt") for file in folder.glob(kind)]
    beside = {header.accession_no: header for header in headers}
    return parse.ownership(
        parse.Document(
            body=file.read_bytes(),
            name=file.name,
            header=beside.get(edgar.accession_in(file.name), edgar.Header()),
        )
        for file in sorted(folder.glob("*.xml"))
    )


def test_every_document_loads_or_says_why_not(folder: Path, ownership: parse.Parsed):
    assert len(list(folder.glob("*.xml"))) == ownership.documents.height + ownership.problems.height
    reasons = dict(ownership.problems.group_by("problem").len().iter_rows())
    assert reasons == {"no accession": 10, "no filing date": 1}
    # names with a short hash where an accession number would be; and one whose day is the period's
    assert ownership.problems.filter(problem="no filing date")["key"].to_list() == ["0000320193-22-000061"]
    assert ownership.documents.height == 279
    key = ["accession_no", "is_derivative", "row_no"]
    assert not ownership.trades.select(key).is_duplicated().any()
    assert ownership.trades.select("known_at", "transaction_date", "acquired", "direct").null_count().row(0) == (
        0,
        0,
        0,
        0,
    )
    assert ownership.trades.filter(pl.col("transaction_date") > pl.col("filed_on")).is_empty()
    assert ownership.trades.filter(pl.col("known_at").dt.date() < pl.col("filed_on")).is_empty()


# accession, derivative, row: code, acquired, shares, price, value, owned after, direct (read in the XML)
BY_HAND = {
    ("0001127602-25-001055", False, 1): ("S", False, 1500, 66.903, 100354.5, 37565, True),  # AAR
    ("0001127602-25-004598", False, 1): ("A", True, 2193, 106.82, 234256.26, 21878, True),  # Arrow
    ("0001127602-25-004598", False, 2): ("F", False, 1009, 106.82, 107781.38, 20869, True),
    ("0001562180-25-000280", False, 1): ("A", True, 106150, 0, 0, 253329, True),  # 2seventy bio
    ("0001562180-25-000280", True, 1): ("A", True, 70750, 0, 0, 70750, True),
    ("0000899243-21-044235", False, 5): ("S", False, 35519, 1123, 39887837, 168291135, False),  # Tesla
    ("0000899243-21-044242", False, 1): ("S", False, 2912, 1030.494, 3000798.528, 167343925, False),
    ("0001181431-11-033001", False, 2): ("J", False, 19066032, None, None, 0, False),  # LinkedIn, price in a footnote
    ("0001181431-11-033001", False, 4): ("S", False, 115335, 41.85, 4826769.75, 0, False),
    ("0001209191-23-055596", False, 1): ("C", True, 3330804, 0, 0, 0, False),  # Palantir
    ("0001062993-22-008150", False, 2): ("P", True, 85903, 32.5947, 2799982.5141, 1250889, False),  # Natera
    ("0001209191-12-022044", False, 2): ("S", False, 25367, 102.0764, 2589372.0388, 53300, False),  # LinkedIn
    ("0000899243-23-004992", False, 4): ("G", False, 2020000, 0, 0, 420151833, False),  # Tesla, Form 5
    ("0001062993-22-021877", True, 1): ("P", True, None, None, 60000000, None, False),  # Unity, notes: no share price
    ("0001062993-23-013573", True, 1): ("A", True, 269.227, 0, 0, 13974.275, True),  # Microsoft
}


def test_numbers_are_those_of_the_documents(ownership: parse.Parsed):
    names = ["transaction_code", "acquired", "shares", "price_per_share", "total_value", "shares_owned_after", "direct"]
    rows = {
        (row["accession_no"], row["is_derivative"], row["row_no"]): tuple(row[name] for name in names)
        for row in ownership.trades.iter_rows(named=True)
    }
    assert {key: rows[key] for key in BY_HAND} == BY_HAND


def test_people_dates_and_plans_are_those_of_the_documents(ownership: parse.Parsed):
    def one(accession: str) -> dict:
        return ownership.trades.filter(accession_no=accession).row(0, named=True)

    aar = one("0001127602-25-001055")
    assert (aar["insider_name"], aar["insider_title"]) == ("Garascia Jessica A.", "Senior VP, GC, CAO & Secretary")
    assert (aar["issuer_cik"], aar["owner_ciks"], aar["issuer_ticker"]) == (1750, [1806647], "AIR")
    assert (aar["is_officer"], aar["is_director"], aar["is_10b5_1"]) == (True, False, False)
    # <ACCEPTANCE-DATETIME>20250110160730 New York
    assert (aar["filed_on"], aar["known_at"]) == (date(2025, 1, 10), datetime(2025, 1, 10, 21, 7, 30, tzinfo=UTC))
    assert "ranging from $66.8350 to $66.9800" in aar["price_footnotes"]
    arrow = one("0001127602-25-004598")  # its name says the 12th, its header the 13th, and no acceptance time
    assert (arrow["filed_on"], arrow["known_at"]) == (date(2025, 2, 13), datetime(2025, 2, 14, 3, tzinfo=UTC))
    assert one("0001562180-25-000280")["insider_title"] != "See Remarks"
    joint = one("0001181431-11-033001")
    assert joint["owner_ciks"] == [1519339, 1521103]
    assert ownership.trades.filter(accession_no="0001181431-11-033001").height == 7
    assert joint["is_10b5_1"] is None
    thiel = one("0001209191-23-055596")
    assert thiel["is_10b5_1"] is True
    option = ownership.trades.filter(accession_no="0001562180-25-000280", is_derivative=True).row(0, named=True)
    assert (option["exercise_price"], option["expires_on"], option["underlying_title"]) == (
        2.64,
        date(2035, 1, 6),
        "Common Stock",
    )
    assert ownership.trades.filter(pl.col("filed_on") < date(2023, 1, 1))["is_10b5_1"].null_count() > 1000


def test_full_submissions_say_the_same_as_their_documents(folder: Path, ownership: parse.Parsed):
    files = [file for kind in ("*.nc", "*.txt") for file in sorted(folder.glob(kind))]
    alone = parse.ownership(parse.Document(body=file.read_bytes(), name=file.name) for file in files)
    assert alone.documents.height == len(files) == 3
    same = ownership.trades.filter(pl.col("accession_no").is_in(alone.documents["accession_no"].implode()))
    order = ["accession_no", "is_derivative", "row_no"]
    assert alone.trades.sort(order).equals(same.sort(order))


def test_feed_pages_key_each_filing_once(recordings: Path):
    pages = sorted((recordings / "www.sec.gov/cgi-bin/browse-edgar").glob("type4_*.gz"))
    if not pages:
        pytest.skip("not recorded here: www.sec.gov/cgi-bin/browse-edgar")
    bodies = [gzip.decompress(page.read_bytes()) for page in pages]
    rows = pl.concat([parse.feed(body) for body in bodies])
    entries = sum(body.count(b"<entry>") for body in bodies)
    assert rows["accession_no"].n_unique() < entries  # once per filer role there
    assert rows.select("form", "filed_on", "accepted_at", "url").null_count().row(0) == (0, 0, 0, 0)
    hinge = rows.filter(accession_no="0002063236-25-000004").row(0, named=True)
    assert (hinge["issuer_cik"], hinge["filer_ciks"]) == (1673743, [2063236, 1673743])
    assert hinge["accepted_at"] == datetime(2025, 12, 12, 23, 2, 43, tzinfo=UTC)  # 18:02:43 New York
    assert hinge["url"].endswith("/data/2063236/000206323625000004/0002063236-25-000004.txt")


def test_daily_index_lists_each_ownership_filing_once(recordings: Path):
    file = recordings / "www.sec.gov/Archives/edgar/daily-index/form.20200318.idx.gz"
    if not file.is_file():
        pytest.skip(f"not recorded here: {file.name}")
    rows = parse.index(gzip.decompress(file.read_bytes()))
    assert dict(rows.group_by("form").len().iter_rows()) == {"3": 44, "3/A": 1, "4": 974, "4/A": 17}
    assert rows["accession_no"].is_unique().all()


def natera_listing() -> pl.DataFrame:
    columns = {"security_id": pl.Int64, "cik": pl.Int64, "share_class": pl.String, "ticker": pl.String}
    return pl.DataFrame([(1604821001, 1604821, None, "NTRA")], schema=columns, orient="row")


def test_a_4a_in_the_shape_of_a_recorded_form_4_supersedes_what_it_restates(folder: Path, ownership: parse.Parsed):
    """No 4/A is recorded: this one restates the second of three tranches of 0001062993-22-008150."""
    text = (folder / "0001062993-22-008150.xml").read_text()
    lines = text.split("<nonDerivativeTransaction>")
    amended = (
        lines[0] + "<nonDerivativeTransaction>" + lines[2] + "</nonDerivativeTable></ownershipDocument>"
    ).replace("<documentType>4<", "<documentType>4/A<")
    day = ownership.documents.filter(accession_no="0001062993-22-008150")["filed_on"].item()
    amended = amended.replace(
        "<issuer>", f"<dateOfOriginalSubmission>{day}</dateOfOriginalSubmission>\n    <issuer>"
    ).replace("<value>32.5947</value>", "<value>32.6947</value>")
    header = edgar.Header(
        accession_no="0001062993-22-009999",
        filed_on=date(2022, 4, 1),
        accepted_at=datetime(2022, 4, 1, 21, tzinfo=UTC),
    )
    second = parse.ownership([parse.Document(body=amended.encode(), header=header)])
    assert second.problems.is_empty()
    assert second.trades.select("form", "row_no", "shares", "price_per_share").rows() == [("4/A", 1, 85903, 32.6947)]
    trades = compute.supersede(pl.concat([ownership.trades, second.trades]))
    gone = trades.filter(pl.col("superseded_by").is_not_null())
    assert gone.select("accession_no", "row_no", "superseded_by").rows() == [
        ("0001062993-22-008150", 2, "0001062993-22-009999")
    ]
    days = [date(2022, 4, 1), date(2022, 4, 4)]
    sessions = pl.DataFrame(
        {"session": days, "closes_at": [datetime(day.year, day.month, day.day, 20, tzinfo=UTC) for day in days]}
    )
    known = compute.activity(compute.with_securities(trades, natera_listing()), sessions)
    tranches = (26402 * 31.9154, 85903 * 32.5947, 40695 * 33.4881, 85903 * 0.1)
    natera = known.filter(security_id=1604821001)
    assert natera["net_shares_30d"].to_list() == [153000, 153000]
    assert natera["net_value_30d"].to_list() == pytest.approx([sum(tranches[:3]), sum(tranches)])


def test_natera_buying_as_known_on_each_session(ownership: parse.Parsed):
    # 0001062993-22-008150: 26402 at 31.9154, 85903 at 32.5947, 40695 at 33.4881 on 2022-03-16
    bought = 26402 * 31.9154 + 85903 * 32.5947 + 40695 * 33.4881
    trades = ownership.trades.filter(accession_no="0001062993-22-008150")
    trades = compute.with_securities(compute.supersede(trades), natera_listing())
    days = [date(2022, 3, 17), date(2022, 3, 21), date(2022, 4, 14), date(2022, 4, 18)]
    sessions = pl.DataFrame(
        {"session": days, "closes_at": [datetime(day.year, day.month, day.day, 20, tzinfo=UTC) for day in days]}
    )
    known = {row["session"]: row for row in compute.activity(trades, sessions).iter_rows(named=True)}
    filed_on = trades["filed_on"].item(0)
    assert (date(2022, 3, 17) in known) == (filed_on < date(2022, 3, 17))
    assert known[date(2022, 3, 21)]["net_shares_30d"] == 153000
    assert known[date(2022, 4, 14)]["net_value_30d"] == pytest.approx(bought)
    assert (known[date(2022, 4, 18)]["net_shares_30d"], known[date(2022, 4, 18)]["net_shares_90d"]) == (0, 153000)
