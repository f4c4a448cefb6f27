"""13F data sets as streams, hostile archives, units by evidence, amendments by kind, ownership as a day knew it."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from closingbell import archives, edgar, shapes
from closingbell.institutions import compute, parse

Q3, Q4 = date(2023, 9, 30), date(2023, 12, 31)
COVER = [
    "ACCESSION_NUMBER",
    "REPORTCALENDARORQUARTER",
    "ISAMENDMENT",
    "AMENDMENTNO",
    "AMENDMENTTYPE",
    "FILINGMANAGER_NAME",
    "REPORTTYPE",
    "FORM13FFILENUMBER",
    "ADDITIONALINFORMATION",
]
INFO = [
    "ACCESSION_NUMBER",
    "INFOTABLE_SK",
    "NAMEOFISSUER",
    "TITLEOFCLASS",
    "CUSIP",
    "FIGI",
    "VALUE",
    "SSHPRNAMT",
    "SSHPRNAMTTYPE",
    "PUTCALL",
    "INVESTMENTDISCRETION",
    "OTHERMANAGER",
    "VOTING_AUTH_SOLE",
    "VOTING_AUTH_SHARED",
    "VOTING_AUTH_NONE",
]


def accession(number: int) -> str:
    return f"0001234567-24-{number:06}"


def tsv(columns: list[str], rows: list[list[object]]) -> bytes:
    lines = [columns, *[["" if value is None else str(value) for value in row] for row in rows]]
    return "".join("\t".join(line) + "\n" for line in lines).encode()


def archive(
    filings: list[tuple],
    lines: list[tuple],
    *,
    included: list[tuple] = (),
    combined: tuple[int, ...] = (),
    folder: str = "",
    info: list[str] = INFO,
) -> io.BytesIO:
    """A data set. filings: number, cik, quarter, filed, form, amendment type, entry total, value total. lines: number,
    cusip, value, shares, put or call, other managers. included: number, sequence, cik. combined: numbers of combination
    reports."""
    submissions, covers, summaries = [], [], []
    for number, cik, quarter, filed, form, kind, entries, total in filings:
        days = [day.strftime("%d-%b-%Y").upper() for day in (filed, quarter)]
        notice = form.startswith("13F-NT")
        submissions.append([accession(number), days[0], form, f"{cik:010}", days[1]])
        report = f"13F {'NOTICE' if notice else 'COMBINATION REPORT' if number in combined else 'HOLDINGS REPORT'}"
        amended = "Y" if form.endswith("/A") else "N"
        covers.append(
            [
                accession(number),
                days[1],
                amended,
                1 if kind else None,
                kind,
                f'The "{cik}" Fund',
                report,
                f"028-{cik:05}",
                "",
            ]
        )
        if not notice:
            summaries.append([accession(number), 0, entries, total, "N"])
    rows = [
        [accession(n), 900 + i, "ISSUER", "COM", cusip, "", value, shares, "SH", option, "SOLE", others, shares, 0, 0]
        for i, (n, cusip, value, shares, option, others) in enumerate(lines)
    ]
    members = {
        "SUBMISSION": tsv(["ACCESSION_NUMBER", "FILING_DATE", "SUBMISSIONTYPE", "CIK", "PERIODOFREPORT"], submissions),
        "COVERPAGE": tsv(COVER, covers),
        "OTHERMANAGER": tsv(["ACCESSION_NUMBER", "OTHERMANAGER_SK", "CIK", "FORM13FFILENUMBER", "NAME"], []),
        "OTHERMANAGER2": tsv(
            ["ACCESSION_NUMBER", "SEQUENCENUMBER", "CIK", "FORM13FFILENUMBER", "NAME"],
            [[accession(n), sequence, cik, "", "INCLUDED"] for n, sequence, cik in included],
        ),
        "SUMMARYPAGE": tsv(
            [
                "ACCESSION_NUMBER",
                "OTHERINCLUDEDMANAGERSCOUNT",
                "TABLEENTRYTOTAL",
                "TABLEVALUETOTAL",
                "ISCONFIDENTIALOMITTED",
            ],
            summaries,
        ),
        "INFOTABLE": tsv(
            info, [[value for name, value in zip(INFO, row, strict=True) if name in info] for row in rows]
        ),
        "SIGNATURE": b"ACCESSION_NUMBER\n",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, text in members.items():
            target.writestr(f"{folder}{name}.tsv", text)
    return file


def loaded(file: io.BytesIO) -> tuple[parse.DataSet, pl.DataFrame]:
    data = parse.DataSet(file)
    return data, pl.concat(data.holdings())


SMALL = [(1, 11, Q4, date(2024, 2, 9), "13F-HR", None, 3, 600)]
SMALL_LINES = [
    (1, "037833100", 100, 10, None, None),
    (1, "37833100", 200, 20, "Put", "1, 2"),
    (1, "594918104", 300, 30, None, None),
]

# the data set


def test_data_set_becomes_typed_frames():
    data, holdings = loaded(archive(SMALL, SMALL_LINES, included=[(1, 2, 55)], folder="01dec2023-29feb2024_form13f/"))
    assert dict(data.filings.schema) == parse.FILINGS
    assert dict(data.managers.schema) == parse.MANAGERS
    assert dict(holdings.schema) == parse.HOLDINGS
    filing = data.filings.row(0, named=True)
    assert (filing["institution_cik"], filing["quarter"], filing["filed_on"]) == (11, Q4, date(2024, 2, 9))
    assert filing["institution_name"] == 'The "11" Fund'
    assert filing["known_at"] == datetime(2024, 2, 10, 3, tzinfo=UTC)
    assert holdings["cusip"].to_list() == ["037833100", "037833100", "594918104"]  # the zero a spreadsheet ate
    assert holdings["put_call"].to_list() == [None, "put", None]
    assert holdings["other_managers"].to_list() == [None, "1,2", None]
    assert holdings["row_no"].to_list() == [1, 2, 3]


def test_batches_do_not_change_the_rows(monkeypatch):
    monkeypatch.setattr(archives, "BLOCK", 700)
    lines = [(1 + i % 3, f"{i % 700:09}", i, i + 1, None, None) for i in range(2000)]
    filings = [(n, n, Q4, date(2024, 2, 9), "13F-HR", None, None, None) for n in (1, 2, 3)]
    data = parse.DataSet(archive(filings, lines))
    whole = pl.concat(data.holdings())
    batches = list(data.holdings(batch_bytes=3000))
    assert len(batches) > 10
    assert pl.concat(batches).equals(whole)
    assert whole.height == whole.select("accession_no", "row_no").n_unique() == 2000


def test_older_sets_have_no_figi_and_other_columns_are_errors():
    _, holdings = loaded(archive(SMALL, SMALL_LINES, info=[name for name in INFO if name != "FIGI"]))
    assert holdings["figi"].null_count() == 3
    with pytest.raises(ValueError, match=r"INFOTABLE\.tsv: column CUSIP is missing"):
        loaded(archive(SMALL, SMALL_LINES, info=[name for name in INFO if name != "CUSIP"]))
    with zipfile.ZipFile(archive(SMALL, SMALL_LINES)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    members["SUBMISSION.tsv"] = members["SUBMISSION.tsv"].replace(b"SUBMISSIONTYPE", b"SUBMISSIONTYPE\tSURPRISE")
    with pytest.raises(ValueError, match=r"SUBMISSION\.tsv: column SURPRISE is unknown"):
        parse.DataSet(zipped(members))
    del members["COVERPAGE.tsv"]
    members["SUBMISSION.tsv"] = members["SUBMISSION.tsv"].replace(b"\tSURPRISE", b"")
    with pytest.raises(ValueError, match=r"member COVERPAGE\.tsv is missing"):
        parse.DataSet(zipped(members))


def test_thousands_separators_are_read_and_what_is_no_number_has_no_amount():
    """Such a line is quarantined (audits/institutional_holdings.py): null is what its row rules refuse."""
    lines = [
        (1, CUSIP_A, "137,000", "1,000", None, None),
        (1, CUSIP_A, "", "ten", None, None),
        (1, CUSIP_A, " 5", "2.5", None, None),
    ]
    data, holdings = loaded(archive(SMALL, lines))
    assert holdings["reported_value"].to_list() == [137_000, None, 5]
    assert holdings["amount"].to_list() == [1000, None, 2.5]
    units, _ = compute.units(data.filings, compute.sums(holdings, data.filings))
    rows = compute.positions(holdings.with_columns(amount_type=pl.Series(["SH", "SH", None])), units)
    assert rows.select("shares", "principal").rows() == [(1000, None), (None, None), (None, None)]
    table = TABLE.replace("<n:sshPrnamt>10<", "<n:sshPrnamt>1,000<").encode()
    single = parse.filing(PRIMARY.format(form="13F-HR", amendment="").encode(), table, header=HEADER)
    assert single.holdings["amount"].to_list() == [1000]


@pytest.mark.parametrize(("written", "read"), [("2.0", 2), ("1,234", 1234), (" 5", 5), ("1e3", 1000)])
def test_odd_spellings_of_a_number_are_read(written: str, read: int):
    data = parse.DataSet(archive([(*SMALL[0][:6], written, 600)], SMALL_LINES))
    assert (data.filings["entry_total"].item(), data.problems.height) == (read, 0)


def test_a_bad_field_of_one_filing_is_its_own_problem_and_not_its_quarters():
    filings = [(n, n, Q4, date(2024, 2, 9), "13F-HR", None, 1, 100) for n in range(1, 21)]
    filings[2] = (*filings[2][:6], "three", 100)
    lines = [(n, CUSIP_A, 100, 10, None, None) for n in range(1, 21)]
    with zipfile.ZipFile(archive(filings, lines)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    day, undated = (f"{accession(5)}\t{text}".encode() for text in ("09-FEB-2024", "lately"))
    dayless = members["SUBMISSION.tsv"].replace(day, undated)
    data = parse.DataSet(zipped(members | {"SUBMISSION.tsv": dayless}))
    assert data.filings.height == 19  # without its day a filing is left out
    assert data.filings.filter(accession_no=accession(3))["entry_total"].to_list() == [None]
    assert data.problems.rows() == [
        ("unreadable field", accession(3), f"{accession(3)}: TABLEENTRYTOTAL 'three' cannot be read"),
        ("unreadable field", accession(5), f"{accession(5)}: FILING_DATE 'lately' cannot be read"),
    ]
    other = {"SUBMISSION.tsv": members["SUBMISSION.tsv"].replace(b"09-FEB-2024", b"2024-02-09")}
    with pytest.raises(shapes.Refused, match="FILING_DATE '2024-02-09' cannot be read"):
        parse.DataSet(zipped(members | other))


@pytest.mark.parametrize(
    ("written", "whole"),
    [
        ("37833100", "037833100"),  # Apple without its leading zero
        ("03783310", "037833100"),  # without its check digit
        ("3783310", "037833100"),  # without both
        ("G1151C10", "G1151C101"),  # Accenture
        ("02079K30", "02079K305"),  # Alphabet A
        ("594918104", "594918104"),
    ],
)
def test_a_short_cusip_gets_the_zero_or_the_check_digit_that_is_missing(written: str, whole: str):
    _, holdings = loaded(archive(SMALL, [(1, written, 100, 10, None, None)]))
    assert holdings["cusip"].to_list() == [whole]


# hostile archives


def zipped(members: dict[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for name, text in members.items():
            target.writestr(name, text)
    return file


def bomb(declared: int) -> io.BytesIO:
    """One member of 10 GiB of zeros in 10 MB of deflate (a flushed block, 160 times), declaring `declared` bytes."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(2**26)) + deflate.flush(zlib.Z_FULL_FLUSH)
    packed = block * 160 + deflate.flush()
    name, extra = b"INFOTABLE.tsv", struct.pack("<HHQ", 1, 8, declared)
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 45, 0, 8, 0, 0, 0, len(packed), 0xFFFFFFFF, len(name), 0) + name
    entry = struct.pack(
        "<4s6H3L5H2L",
        b"PK\x01\x02",
        45,
        45,
        0,
        8,
        0,
        0,
        0,
        len(packed),
        0xFFFFFFFF,
        len(name),
        len(extra),
        0,
        0,
        0,
        0,
        0,
    )
    directory = entry + name + extra
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), len(local) + len(packed), 0)
    return io.BytesIO(local + packed + directory + end)


@pytest.mark.parametrize(("declared", "reason"), [(10 * 2**30, "refused"), (2**20, "INFOTABLE")])
def test_member_of_10_gb_is_refused_in_bounded_memory(declared: int, reason: str):
    opened = archives.Archive(bomb(declared), "form13f")
    tracemalloc.start()
    try:
        with pytest.raises(archives.ArchiveRefused, match=reason):
            sum(len(block) for block in opened.blocks("INFOTABLE.tsv"))
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_member_of_10_gb_that_declares_what_is_allowed_is_cut_there_in_bounded_memory():
    bound = 256 * 2**20
    script = Path(__file__).parents[1] / "fixtures/streamed_bomb.py"
    ended = subprocess.run([sys.executable, script, str(bound)], capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    assert 0.95 < found["read"] <= 1  # the last batch is not given out
    assert found["said"].startswith("ArchiveRefused: sec_edgar form13f: member INFOTABLE.tsv: Bad CRC-32")
    assert found["kib"] < 128 * 2**10


def test_archive_of_100_000_members_is_refused_before_its_directory_is_read():
    name = b"a"
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name
    for entries in (0xFFFF, 3):  # the count may lie
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, entries, entries, len(entry) * 100_000, 0, 0)
        tracemalloc.start()
        try:
            with pytest.raises(archives.ArchiveRefused, match="directory has"):
                archives.Archive(io.BytesIO(entry * 100_000 + end), "form13f")
            assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
        finally:
            tracemalloc.stop()
    with pytest.raises(archives.ArchiveRefused, match="100 members"):
        archives.Archive(zipped({f"{n}.tsv": b"" for n in range(100)}), "form13f")


def test_cut_and_foreign_files_are_named_errors():
    whole = archive(SMALL, SMALL_LINES).getvalue()
    for body in (whole[: len(whole) // 2], b"<html>403</html>", b""):
        with pytest.raises(archives.ArchiveRefused, match="no zip archive"):
            parse.DataSet(io.BytesIO(body))


# single filings

PRIMARY = """<?xml version="1.0"?><edgarSubmission xmlns="http://www.sec.gov/edgar/thirteenffiler"><headerData>
<submissionType>{form}</submissionType><filerInfo><filer><credentials><cik>0000000011</cik></credentials></filer>
<periodOfReport>12-31-2023</periodOfReport></filerInfo></headerData><formData><coverPage>{amendment}
<filingManager><name>Eleven</name></filingManager><reportType>13F HOLDINGS REPORT</reportType>
<form13FFileNumber>28-11</form13FFileNumber></coverPage><summaryPage><tableEntryTotal>1</tableEntryTotal>
<tableValueTotal>100</tableValueTotal><otherManagers2Info><otherManager2><sequenceNumber>2</sequenceNumber><otherManager>
<cik>0000000055</cik><name>INCLUDED</name></otherManager></otherManager2></otherManagers2Info></summaryPage></formData>
</edgarSubmission>"""
TABLE = """<n:informationTable xmlns:n="http://www.sec.gov/edgar/document/thirteenf/informationtable"><n:infoTable>
<n:nameOfIssuer>ISSUER</n:nameOfIssuer><n:titleOfClass>COM</n:titleOfClass><n:cusip>037833100</n:cusip><n:value>100</n:value>
<n:shrsOrPrnAmt><n:sshPrnamt>10</n:sshPrnamt><n:sshPrnamtType>SH</n:sshPrnamtType></n:shrsOrPrnAmt>
<n:investmentDiscretion>SOLE</n:investmentDiscretion><n:votingAuthority><n:Sole>10</n:Sole><n:Shared>0</n:Shared><n:None>0</n:None>
</n:votingAuthority></n:infoTable></n:informationTable>"""
HEADER = edgar.Header(accession_no=accession(1), filed_on=date(2024, 2, 9))


def test_filing_gives_the_same_rows_as_its_data_set():
    data, holdings = loaded(archive([(*SMALL[0][:6], 1, 100)], SMALL_LINES[:1], included=[(1, 2, 55)]))
    single = parse.filing(PRIMARY.format(form="13F-HR", amendment="").encode(), TABLE.encode(), header=HEADER)
    assert single.holdings.equals(holdings)
    names = ["institution_name", "confidential_omitted"]
    assert single.filings.drop(names).equals(data.filings.drop(names))
    assert single.managers.select("accession_no", "included", "sequence", "manager_cik").equals(
        data.managers.select("accession_no", "included", "sequence", "manager_cik")
    )


def test_filing_refuses_what_it_cannot_tell():
    primary = PRIMARY.format(form="13F-HR", amendment="").encode()
    with pytest.raises(shapes.Refused, match="without a header") as refused:
        parse.filing(primary, TABLE.encode())
    assert refused.value.problem == "no accession"
    with pytest.raises(edgar.Refused, match="declares entries") as refused:
        parse.filing(primary, header=HEADER)
    assert refused.value.problem == "no information table"
    for cover, table in ((b"<!DOCTYPE a>" + primary[21:], TABLE.encode()), (primary, b"<!DOCTYPE a>" + TABLE.encode())):
        with pytest.raises(shapes.Refused, match="DOCTYPE"):
            parse.filing(cover, table, header=HEADER)


# units and totals


def decided(
    filed: date, values: list[int], closes: list[float | None], total: int | None = None, entries: int | None = None
):
    lines = [(1, f"{i:09}", value, 100, None, None) for i, value in enumerate(values)]
    data, holdings = loaded(archive([(1, 11, Q4, filed, "13F-HR", None, entries, total)], lines))
    prices = pl.DataFrame(
        {"cusip": [f"{i:09}" for i in range(len(closes))], "quarter": [Q4] * len(closes), "close": closes},
        schema={"cusip": pl.String, "quarter": pl.Date, "close": pl.Float64},
    )
    units, problems = compute.units(data.filings, compute.sums(holdings, data.filings, prices))
    return units.row(0, named=True), dict(zip(problems["problem"], problems["detail"], strict=True))


def test_unit_is_the_days_where_no_price_speaks():
    assert decided(date(2022, 12, 30), [1], [])[0]["value_unit"] == 1000
    assert decided(date(2023, 1, 3), [1], [])[0]["value_unit"] == 1
    assert decided(date(2023, 1, 3), [1], [None])[0]["unit_source"] == "date"


def test_filer_who_still_writes_thousands_is_found_by_the_markets_prices():
    row, problems = decided(date(2024, 2, 9), [5, 20, 7], [50.0, 190.0, 71.0])
    assert (row["value_unit"], row["unit_source"]) == (1000, "price")
    assert "unit against the rule" in problems
    early, _ = decided(date(2022, 11, 9), [5_000, 19_000, 7_100], [50.0, 190.0, 71.0])
    assert early["value_unit"] == 1


def test_two_lines_of_many_do_not_decide():
    row, problems = decided(date(2024, 2, 9), [5, 20, 7, 9, 9], [50.0, 190.0])
    assert (row["value_unit"], row["unit_source"]) == (1, "date")
    assert "unit uncertain" in problems
    split, problems = decided(date(2024, 2, 9), [5, 20, 7_000, 9_000], [50.0, 200.0, 70.0, 90.0])
    assert (split["unit_source"], "unit uncertain" in problems) == ("date", True)


def test_peers_speak_where_the_market_has_no_price():
    filings = [(n, n, Q4, date(2024, 2, 9), "13F-HR", None, None, None) for n in range(1, 8)]
    lines = [
        (n, cusip, 5 if n == 1 else 5_000, 100, None, None)
        for n in range(1, 8)
        for cusip in ("A" * 9, "B" * 9, "C" * 9)
    ]
    data, holdings = loaded(archive(filings, lines))
    prices = compute.peer_prices(holdings, data.filings)
    assert prices["close"].to_list() == [50.0] * 3
    units, _ = compute.units(data.filings, compute.sums(holdings, data.filings, prices))
    assert units["value_unit"].to_list() == [1000.0] + [1.0] * 6


def test_totals_that_do_not_add_up_are_flagged():
    fine, none = decided(date(2024, 2, 9), [100, 200], [], total=301, entries=2)
    assert (fine["reconciled"], none) == (True, {})
    row, problems = decided(date(2024, 2, 9), [100, 200], [], total=900, entries=3)
    assert row["reconciled"] is False
    assert problems["entry total"] == "the summary page declares 3 entries, the table has 2"
    assert problems["value total"] == "the summary page declares 900, the table's values add up to 300"
    assert decided(date(2024, 2, 9), [100], [])[0]["reconciled"] is None


def test_sums_of_batches_are_the_sums_of_the_whole(monkeypatch):
    monkeypatch.setattr(archives, "BLOCK", 700)
    data = parse.DataSet(archive(SMALL, SMALL_LINES * 40))
    parts = pl.concat([compute.sums(batch, data.filings) for batch in data.holdings(batch_bytes=500)])
    whole, _ = compute.units(data.filings, compute.sums(pl.concat(data.holdings()), data.filings))
    assert parts.height > 1
    assert compute.units(data.filings, parts)[0].equals(whole)
    assert whole["rows"].item() == 120


# CUSIPs


def test_fails_file_is_a_dated_map_of_cusips():
    text = (
        "SETTLEMENT DATE|CUSIP|SYMBOL|QUANTITY (FAILS)|DESCRIPTION|PRICE\r\n"
        '20240102|30303M102|FB|12|META "PLATFORMS"|350.10\r\n20240102|37833100X|ZZZ|1|X|.\r\n'
        "20240103|30303M102|META|12|META PLATFORMS|351\r\n20240108|30303M102|META|9|META PLATFORMS|352\r\n"
        "20240109|084670702|BRKB|9|BERKSHIRE|360\r\n"
        "Trailer record count 5\r\nTrailer total quantity of shares 43\r\n"
    )
    plain = parse.fails(text.encode("latin-1"))
    assert dict(plain.schema) == parse.FAILS
    assert plain.height == 5
    assert parse.fails(zipped({"cnsfails202401a.txt": text.encode()}).getvalue()).equals(plain)
    history = pl.DataFrame(
        {
            "ticker": ["FB", "META", "META", "BRK.B"],
            "security_id": [7, 9, 7, 8],
            "valid_from": [date(2012, 5, 18), date(2021, 6, 30), date(2024, 1, 3), date(1996, 5, 9)],
            "valid_to": [date(2024, 1, 2), date(2022, 1, 1), None, None],
        }
    )
    dated = compute.cusip_history(plain, history)
    assert dict(dated.schema) == compute.CUSIPS
    assert dated.filter(cusip="30303M102").rows() == [
        ("30303M102", date(2024, 1, 2), "FB", 7),
        ("30303M102", date(2024, 1, 3), "META", 7),
    ]
    assert dated.filter(cusip="084670702")["security_id"].to_list() == [8]
    assert dated.filter(cusip="37833100X")["security_id"].to_list() == [None]
    closes = compute.prices_of_fails(plain).filter(cusip="30303M102")
    assert closes.rows() == [("30303M102", Q4, 350.1)]
    with pytest.raises(ValueError, match="columns"):
        parse.fails(b"<html>")


# ownership as known

CUSIP_A, CUSIP_B = "AAAAAAAA1", "BBBBBBBB1"
MAP = pl.DataFrame(
    {"cusip": [CUSIP_A, CUSIP_B], "valid_from": [date(2020, 1, 1)] * 2, "ticker": ["A", "B"], "security_id": [1, 2]}
)


def owned(
    filings: list[tuple],
    lines: list[tuple],
    as_of: datetime,
    included: list[tuple] = (),
    combined: tuple[int, ...] = (),
    **more,
) -> dict[int, dict]:
    filings = [(*filing, None, None) for filing in filings]
    data, holdings = loaded(archive(filings, lines, included=included, combined=combined))
    units, _ = compute.units(data.filings, compute.sums(holdings, data.filings))
    rows = compute.positions(holdings, units, compute.securities(MAP, units["quarter"]))
    assert dict(rows.schema) == compute.POSITIONS
    found = compute.ownership(rows, units, quarter=Q4, as_of=as_of, managers=data.managers, **more)
    assert dict(found.schema) == compute.OWNERSHIP
    return {row["security_id"]: row for row in found.iter_rows(named=True)}


LATE = datetime(2025, 6, 1, tzinfo=UTC)


def test_restatement_replaces_and_new_holdings_add_each_from_its_own_day():
    filings = [
        (1, 11, Q4, date(2024, 2, 9), "13F-HR", None),
        (2, 11, Q4, date(2024, 3, 1), "13F-HR/A", "NEW HOLDINGS"),
        (3, 11, Q4, date(2024, 4, 1), "13F-HR/A", "RESTATEMENT"),
        (4, 11, Q4, date(2025, 5, 1), "13F-HR/A", "NEW HOLDINGS"),
    ]
    lines = [(n, CUSIP_A, 1, shares, None, None) for n, shares in ((1, 100), (2, 20), (3, 90), (4, 5))]
    known = {
        datetime(2024, 2, 9, 20, tzinfo=UTC): {},
        datetime(2024, 2, 12, tzinfo=UTC): 100,
        datetime(2024, 3, 5, tzinfo=UTC): 120,
        datetime(2024, 4, 5, tzinfo=UTC): 90,
        LATE: 95,
    }
    for as_of, shares in known.items():
        found = owned(filings, lines, as_of)
        assert (found[1]["shares"] if found else {}) == shares
        assert not found or found[1]["holders"] == 1


@pytest.mark.parametrize(("kind", "shares"), [("RESTATEMENT", 50), ("NEW HOLDINGS", 1050)])
def test_amendment_of_the_originals_day_follows_it_whatever_the_accession_numbers(kind: str, shares: int):
    """A data set has no acceptance times, and the number's first part is the filing agent's."""
    day = date(2024, 2, 9)
    filings = [(9, 11, Q4, day, "13F-HR", None), (1, 11, Q4, day, "13F-HR/A", kind)]
    lines = [(9, CUSIP_A, 1, 1000, None, None), (1, CUSIP_A, 1, 50, None, None)]
    assert owned(filings, lines, LATE)[1]["shares"] == shares


def test_new_holdings_that_repeat_what_was_reported_add_nothing():
    """The whole table again, under the wrong box; the original has two equal lines, and the third is new."""
    day = date(2024, 2, 9)
    filings = [(9, 11, Q4, day, "13F-HR", None), (1, 11, Q4, day, "13F-HR/A", "NEW HOLDINGS")]
    told = [(CUSIP_A, 1, 100, None, None), (CUSIP_A, 1, 100, None, None), (CUSIP_A, 1, 40, "Put", None)]
    new = [(CUSIP_A, 1, 100, None, None), (CUSIP_A, 1, 30, None, None), (CUSIP_A, 1, 100, None, "1")]
    found = owned(filings, [(9, *line) for line in told] + [(1, *line) for line in told + new], LATE)[1]
    assert (found["shares"], found["put_shares"], found["market_value"]) == (430, 40, 5)


def test_options_are_not_shares_held():
    lines = [(1, CUSIP_A, 1, 100, None, None), (1, CUSIP_A, 1, 40, "Put", None), (1, CUSIP_B, 1, 30, "Call", None)]
    found = owned([(1, 11, Q4, date(2024, 2, 9), "13F-HR", None)], lines, LATE)
    assert (found[1]["shares"], found[1]["put_shares"], found[1]["call_shares"]) == (100, 40, 0)
    assert (found[2]["holders"], found[2]["shares"], found[2]["call_shares"]) == (0, 0, 30)


def test_position_that_two_managers_report_counts_once():
    filings = [
        (1, 11, Q4, date(2024, 2, 9), "13F-HR", None),  # includes 55
        (2, 55, Q4, date(2024, 2, 9), "13F-HR", None),  # files all the same
        (3, 66, Q4, date(2024, 2, 9), "13F-NT", None),
    ]
    lines = [
        (1, CUSIP_A, 1, 100, None, "1,2"),
        (1, CUSIP_A, 1, 7, None, None),
        (2, CUSIP_A, 1, 100, None, None),
        (2, CUSIP_A, 1, 30, None, None),
        (2, CUSIP_B, 1, 7, None, None),
    ]
    found = owned(filings, lines, LATE, included=[(1, 1, 44), (1, 2, 55)])
    assert (found[1]["shares"], found[1]["holders"], found[2]["shares"]) == (137, 2, 7)
    assert owned(filings, lines, LATE)[1]["shares"] == 237


@pytest.mark.parametrize(
    ("parents", "own", "shares", "holders"),
    [
        ({1: [600, 400]}, [1000], 1000, 1),  # the same, in other lines
        ({1: [1000]}, [1000, 1000], 2000, 2),  # one of two equal lines
        ({1: [1000], 2: [1000]}, [], 1000, 1),  # two that include it, and it files nothing
        ({1: [1000], 2: [1500]}, [1600], 1600, 3),
    ],
)
def test_a_managers_position_is_compared_by_its_sum(parents: dict, own: list, shares: int, holders: int):
    day = date(2024, 2, 9)
    filings = [(n, n, Q4, day, "13F-HR", None) for n in (*parents, *([55] if own else []))]
    lines = [(n, CUSIP_A, amount, amount, None, "1") for n, amounts in parents.items() for amount in amounts]
    lines += [(55, CUSIP_A, amount, amount, None, None) for amount in own]
    found = owned(filings, lines, LATE, included=[(n, 1, 55) for n in parents])[1]
    assert (found["shares"], found["market_value"], found["holders"]) == (shares, shares, holders)


@pytest.mark.parametrize(
    ("parents", "report", "shares", "holders"),
    [
        ({1: 600}, "whole", 600, 1),  # a second telling of 600
        ({1: 600}, "combined", 1200, 2),  # 600 more
        ({1: 600, 2: 700}, "combined", 1300, 3),  # two that tell of one manager, and what neither tells
    ],
)
def test_a_combination_report_has_what_nobody_else_reports(parents: dict, report: str, shares: int, holders: int):
    filings = [(n, n, Q4, date(2024, 2, 9), "13F-HR", None) for n in (*parents, 55)]
    lines = [(n, CUSIP_A, amount, amount, None, "1") for n, amount in parents.items()]
    lines.append((55, CUSIP_A, 600, 600, None, None))
    combined = (55,) if report == "combined" else ()
    found = owned(filings, lines, LATE, included=[(n, 1, 55) for n in parents], combined=combined)[1]
    assert (found["shares"], found["holders"]) == (shares, holders)


def test_of_two_managers_that_include_each_other_one_report_counts():
    filings = [(n, n, Q4, date(2024, 2, 9), "13F-HR", None) for n in (11, 55)]
    lines = [(n, CUSIP_A, 100, 100, None, "1") for n in (11, 55)]
    assert owned(filings, lines, LATE, included=[(11, 1, 55), (55, 1, 11)])[1]["shares"] == 100


def test_change_is_between_those_who_reported_both_quarters():
    day = date(2023, 11, 9)
    filings = [
        (1, 11, Q3, day, "13F-HR", None),
        (2, 22, Q3, day, "13F-HR", None),
        (3, 33, Q3, day, "13F-HR", None),
        (4, 11, Q4, date(2024, 2, 9), "13F-HR", None),
        (5, 22, Q4, date(2024, 2, 14), "13F-HR", None),
        (6, 77, Q4, date(2024, 2, 9), "13F-HR", None),  # its first report ever
    ]
    lines = [
        (1, CUSIP_A, 1, 100, None, None),
        (2, CUSIP_A, 1, 50, None, None),
        (3, CUSIP_A, 1, 1000, None, None),
        (4, CUSIP_A, 1, 250, None, None),
        (4, CUSIP_B, 1, 8, None, None),
        (5, CUSIP_B, 1, 9, None, None),
        (6, CUSIP_A, 1, 500, None, None),
    ]
    early = owned(filings, lines, datetime(2024, 2, 12, tzinfo=UTC))
    assert (early[1]["shares"], early[1]["holders"], early[1]["filers"]) == (750, 2, 2)
    assert (early[1]["shares_before"], early[1]["change"], early[1]["closed_positions"]) == (100, 150, 0)
    outstanding = pl.DataFrame({"security_id": [1], "shares_outstanding": [7500.0]})
    late = owned(filings, lines, LATE, shares_outstanding=outstanding)
    assert (late[1]["change"], late[1]["closed_positions"], late[1]["increased_positions"]) == (100, 1, 1)
    assert (late[2]["new_positions"], late[2]["change"], late[2]["share_owned"]) == (2, 17, None)
    assert late[1]["share_owned"] == pytest.approx(0.1)
    split = pl.DataFrame({"security_id": [1], "ex_date": [date(2023, 12, 1)], "numerator": [2.0], "denominator": [1.0]})
    assert owned(filings, lines, datetime(2024, 2, 12, tzinfo=UTC), splits=split)[1]["change"] == 50


def test_a_manager_that_turns_to_notices_has_not_sold():
    filings = [
        (1, 11, Q3, date(2023, 11, 9), "13F-HR", None),
        (2, 22, Q3, date(2023, 11, 9), "13F-HR", None),
        (3, 11, Q4, date(2024, 2, 9), "13F-HR", None),
        (4, 22, Q4, date(2024, 2, 9), "13F-NT", None),  # its parent reports for it now
    ]
    lines = [(1, CUSIP_A, 1, 100, None, None), (2, CUSIP_A, 1, 50, None, None), (3, CUSIP_A, 1, 150, None, None)]
    found = owned(filings, lines, LATE)[1]
    assert (found["filers"], found["shares_before"], found["change"], found["closed_positions"]) == (1, 100, 50, 0)


def test_share_owned_is_of_the_class_where_its_count_was_known():
    def version(security: int, day: date, known: date, shares: float, of_class: bool) -> tuple:
        return security, day, datetime(known.year, known.month, known.day, tzinfo=UTC), shares, day, of_class

    company = [version(n, Q3, date(2023, 10, 30), 1000.0, False) for n in (1, 2, 3)]
    classes = [
        version(1, date(2023, 6, 1), date(2023, 6, 1), 590.0, True),
        version(1, date(2024, 2, 1), date(2024, 2, 1), 600.0, True),
        version(2, date(2024, 2, 1), date(2024, 2, 1), 400.0, True),
        version(2, date(2024, 3, 1), date(2024, 3, 1), 410.0, True),
    ]
    names = ["security_id", "period_end", "known_at", "shares_outstanding", "counted_on", "of_class"]
    versions = pl.DataFrame([*company, *classes], schema=names, orient="row")
    split = pl.DataFrame({"security_id": [2], "ex_date": [date(2024, 1, 9)], "numerator": [4.0], "denominator": [1.0]})

    def counted(as_of: datetime, splits: pl.DataFrame | None = None) -> dict[int, float]:
        found = compute.shares_outstanding(versions, splits, quarter=Q4, as_of=as_of)
        return dict(found.sort("security_id").iter_rows())

    # the one of a day up to the quarter, else the first after; before it is known and without one the company's
    assert counted(datetime(2024, 1, 15, tzinfo=UTC)) == {1: 590, 2: 1000, 3: 1000}
    assert counted(datetime(2024, 4, 1, tzinfo=UTC)) == {1: 590, 2: 400, 3: 1000}
    assert counted(datetime(2024, 4, 1, tzinfo=UTC), split)[2] == 100  # on the basis before the split


def test_cusips_without_a_security_are_counted_and_shown():
    data, holdings = loaded(archive([(1, 11, Q4, date(2024, 2, 9), "13F-HR", None, None, None)], SMALL_LINES))
    units, _ = compute.units(data.filings, compute.sums(holdings, data.filings))
    rows = compute.positions(holdings, units, compute.securities(MAP, units["quarter"]))
    assert rows["security_id"].null_count() == 3
    assert compute.unmapped(rows).rows() == [("037833100", "ISSUER", 1, 300.0), ("594918104", "ISSUER", 1, 300.0)]
    assert compute.positions(holdings, units)["security_id"].null_count() == 3


def test_no_filing_known_yet_is_an_empty_frame_of_the_schema():
    assert owned([(1, 11, Q4, date(2024, 2, 9), "13F-HR", None)], SMALL_LINES, datetime(2024, 1, 1, tzinfo=UTC)) == {}
    assert owned([], [], LATE) == {}
