"""Recorded 13F filings, singly and as a data set by the SEC's schema; totals checked by hand on the cover pages."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from sqlalchemy import Engine, text

from closingbell import connections, edgar
from closingbell.institutions import compute, parse
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.sandbox.server import Sandbox, open_market, running

pytestmark = pytest.mark.real

# accession -> filing day. Of the pairs without a header the number says the year; the day is the cover's signature, or,
# where it was signed on the quarter's last day, one of the days the number can have.
FILED = {
    "0001140361-23-013281": date(2023, 3, 22),  # MetLife, of December 2021
    "0001619124-21-000002": date(2021, 2, 12),  # ACTIAM
    "0001790837-23-000002": date(2023, 1, 9),  # Bull Street
    "0001894188-23-000007": date(2023, 11, 14),  # LTS One, its header's day
    "0001951757-25-000093": date(2025, 1, 22),  # Acorn Creek, its header's day
}


@pytest.fixture(scope="module")
def folder(recordings: Path) -> Path:
    folder = recordings / "www.sec.gov/form13f"
    if not folder.is_dir():
        pytest.skip("not recorded here: www.sec.gov/form13f")
    return folder


@pytest.fixture(scope="module")
def single(folder: Path) -> dict[str, parse.Parsed]:
    return {
        accession: parse.filing(
            (folder / f"{accession}_primary_doc.xml").read_bytes(),
            (folder / f"{accession}_infotable.xml").read_bytes(),
            header=edgar.Header(accession_no=accession, filed_on=filed),
        )
        for accession, filed in FILED.items()
    }


@pytest.fixture(scope="module")
def data_set(folder: Path, recordings: Path) -> parse.DataSet:
    """The pairs as the SEC's tables, columns and spelling by FORM13F_metadata.json, values read without our parser."""
    schema = recordings / "www.sec.gov/form13f_dataset_schema/FORM13F_metadata.json"
    if not schema.is_file():
        pytest.skip(f"not recorded here: {schema.name}")
    columns = {
        table["url"]: [column["name"] for column in table["tableSchema"]["columns"]]
        for table in json.loads(schema.read_text())["tables"]
    }
    rows: dict[str, list[dict]] = {name: [] for name in columns}
    for accession, filed in FILED.items():
        cover = ElementTree.parse(folder / f"{accession}_primary_doc.xml").getroot()

        def text(name: str, root: ElementTree.Element = cover) -> str:
            found = next((e for e in root.iter() if e.tag.rpartition("}")[2] == name), None)
            return " ".join((found.text or "").split()) if found is not None else ""

        quarter = datetime.strptime(text("periodOfReport"), "%m-%d-%Y").strftime("%d-%b-%Y").upper()
        key = {"ACCESSION_NUMBER": accession}
        rows["SUBMISSION.tsv"].append(
            key
            | {"FILING_DATE": filed.strftime("%d-%b-%Y").upper(), "SUBMISSIONTYPE": text("submissionType")}
            | {"CIK": text("cik"), "PERIODOFREPORT": quarter}
        )
        manager = next(e for e in cover.iter() if e.tag.endswith("}filingManager"))
        rows["COVERPAGE.tsv"].append(
            key
            | {"REPORTCALENDARORQUARTER": quarter, "ISAMENDMENT": "N", "FILINGMANAGER_NAME": text("name", manager)}
            | {
                "REPORTTYPE": text("reportType"),
                "FORM13FFILENUMBER": next(
                    e.text for e in cover.iter() if e.tag.endswith("}form13FFileNumber") and e.text.startswith("028-")
                ),
            }
            | {"ADDITIONALINFORMATION": text("additionalInformation")}
        )
        rows["SUMMARYPAGE.tsv"].append(
            key | {"TABLEENTRYTOTAL": text("tableEntryTotal"), "TABLEVALUETOTAL": text("tableValueTotal")}
        )
        table = ElementTree.parse(folder / f"{accession}_infotable.xml").getroot()
        for number, line in enumerate(table, 1):
            names = {e.tag.rpartition("}")[2].upper(): e.text for e in line.iter()}
            rows["INFOTABLE.tsv"].append(
                key
                | {"INFOTABLE_SK": str(number)}
                | {name: names.get(name) for name in columns["INFOTABLE.tsv"] if name in names}
                | {f"VOTING_AUTH_{kind}": names[kind] for kind in ("SOLE", "SHARED", "NONE")}
            )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, lines in rows.items():
            table_text = ["\t".join(columns[name])]
            table_text += ["\t".join(line.get(column) or "" for column in columns[name]) for line in lines]
            archive.writestr(name, "\n".join(table_text) + "\n")
    return parse.DataSet(file)


def test_totals_are_those_of_the_cover_pages(single: dict[str, parse.Parsed]):
    # declared entries and value total, and dollars: read on the cover pages, the units from the implied prices
    expected = {
        "0001140361-23-013281": (6, 11019796, 11_019_796.0),
        "0001619124-21-000002": (5, 732158, 732_158_000.0),  # before 2023: Apple 230054 for 1733777 shares, 132.69 each
        "0001894188-23-000007": (14, 454926000, 454_926_000.0),
        "0001951757-25-000093": (77, 194611845, 194_611_845.0),
    }
    for accession, (entries, total, dollars) in expected.items():
        filing = single[accession]
        units, problems = compute.units(filing.filings, compute.sums(filing.holdings, filing.filings))
        row = units.row(0, named=True)
        assert (row["entry_total"], row["rows"]) == (entries, entries)
        assert (row["value_total"], row["reported_total"], row["reconciled"]) == (total, total, True)
        assert problems.is_empty()
        assert compute.positions(filing.holdings, units)["market_value"].sum() == dollars


def test_actiam_held_apple_before_the_change_of_units(single: dict[str, parse.Parsed]):
    filing = single["0001619124-21-000002"]
    units, _ = compute.units(filing.filings, compute.sums(filing.holdings, filing.filings))
    apple = compute.positions(filing.holdings, units).filter(cusip="037833100").row(0, named=True)
    assert (apple["shares"], apple["market_value"], apple["quarter"]) == (1733777, 230_054_000, date(2020, 12, 31))
    assert apple["market_value"] / apple["shares"] == pytest.approx(132.69, abs=0.005)  # its close that day
    assert (apple["institution_name"], apple["institution_cik"]) == ("ACTIAM N.V.", 1619124)


def test_bull_street_wrote_thousands_after_the_change(single: dict[str, parse.Parsed]):
    filing = single["0001790837-23-000002"]
    by_day, _ = compute.units(filing.filings, compute.sums(filing.holdings, filing.filings))
    assert by_day["value_unit"].item() == 1  # a manager of 192,767 dollars need not file
    closes = {"88579Y101": 119.92, "001055102": 71.94, "002824100": 109.79}  # 3M, Aflac, Abbott on 2022-12-30
    prices = pl.DataFrame({"cusip": list(closes), "quarter": [date(2022, 12, 31)] * 3, "close": list(closes.values())})
    units, problems = compute.units(filing.filings, compute.sums(filing.holdings, filing.filings, prices))
    assert (units["value_unit"].item(), units["unit_source"].item()) == (1000, "price")
    assert problems["problem"].to_list() == ["unit against the rule"]
    positions = compute.positions(filing.holdings, units)
    assert positions["market_value"].sum() == 192_767_000
    assert positions.filter(cusip="88579Y101").select("shares", "market_value").row(0) == (2397, 287_000)


def test_tables_that_are_not_their_cover_pages_are_flagged(folder: Path):
    # Abacus: 92 entries of 114663960 declared, a table of 255 lines, 350153407 in all, three of them bonds
    filing = parse.filing(
        (folder / "abacus_primary_doc.xml").read_bytes(),
        (folder / "255rows_abacus_infotable.xml").read_bytes(),
        header=edgar.Header(accession_no="0001978011-23-000001", filed_on=date(2023, 5, 31)),
    )
    units, problems = compute.units(filing.filings, compute.sums(filing.holdings, filing.filings))
    assert (units["rows"].item(), units["reported_total"].item(), units["reconciled"].item()) == (255, 350153407, False)
    assert problems["problem"].to_list() == ["entry total", "value total"]
    rows = compute.positions(filing.holdings, units)
    assert (rows["principal"].count(), rows["shares"].count()) == (3, 252)


def test_full_submissions_say_the_same_as_their_pairs(folder: Path, single: dict[str, parse.Parsed]):
    lts = parse.filing((folder / "13F.0001894188-23-000007.txt").read_bytes())
    assert lts.holdings.equals(single["0001894188-23-000007"].holdings)
    # <ACCEPTANCE-DATETIME>20231114093854 New York
    assert lts.filings["known_at"].item() == datetime(2023, 11, 14, 14, 38, 54, tzinfo=UTC)
    acorn = parse.filing((folder / "0001951757-25-000093.nc").read_bytes())
    assert acorn.holdings.equals(single["0001951757-25-000093"].holdings)
    assert acorn.filings.equals(single["0001951757-25-000093"].filings)


def test_berkshire_names_the_managers_it_includes(folder: Path):
    cover = (folder / "berkshire_brk13f_2016q3_coverpage.xml").read_bytes()
    table = (folder / "berkshire_brk13f_2016q3_infotable_trimmed.xml").read_bytes()
    header = edgar.Header(accession_no="0000950123-16-022377", filed_on=date(2016, 11, 14))
    filing = parse.filing(cover, table, header=header)
    assert filing.filings["report_type"].item() == "13F COMBINATION REPORT"
    assert dict(filing.managers.group_by("included").len().iter_rows()) == {True: 14, False: 1}
    buffett = filing.managers.filter(sequence=4).row(0, named=True)
    assert (buffett["manager_name"], buffett["file_number"]) == ("Buffett Warren E", "028-00554")
    assert filing.holdings["other_managers"].to_list() == ["4", "4,8,11", "4", "4,5", "4,7"]


def test_notice_holds_nothing(recordings: Path):
    sample = recordings / "www.sec.gov/form13f_official_samples/Sample_13F-NT.xml"
    if not sample.is_file():
        pytest.skip(f"not recorded here: {sample.name}")
    header = edgar.Header(accession_no="0123456789-22-000001", filed_on=date(2022, 2, 1))
    notice = parse.filing(sample.read_bytes(), header=header)
    assert (notice.filings["form"].item(), notice.filings["entry_total"].item()) == ("13F-NT", None)
    assert notice.holdings.is_empty()
    units, problems = compute.units(notice.filings, compute.sums(notice.holdings, notice.filings))
    assert (units["reconciled"].item(), problems.height) == (None, 0)


def test_data_set_is_its_filings(data_set: parse.DataSet, single: dict[str, parse.Parsed]):
    assert data_set.problems.is_empty()
    order = ["accession_no", "row_no"]
    filings = pl.concat([filing.filings for filing in single.values()]).sort("accession_no")
    assert (
        data_set.filings.drop("confidential_omitted").sort("accession_no").equals(filings.drop("confidential_omitted"))
    )
    holdings = pl.concat([filing.holdings for filing in single.values()]).sort(order)
    assert pl.concat(data_set.holdings()).sort(order).equals(holdings)
    assert pl.concat(data_set.holdings(batch_bytes=1000)).sort(order).equals(holdings)
    units, problems = compute.units(data_set.filings, compute.sums(holdings, data_set.filings))
    assert units["reconciled"].all()
    assert problems.is_empty()


def test_recorded_filings_come_through_the_loads_as_data_sets(
    recordings: Path, folder: Path, database: Engine, landing: Landing, monkeypatch: pytest.MonkeyPatch
):
    if not (recordings / "www.sec.gov/form13f_dataset_schema/FORM13F_metadata.json").is_file():
        pytest.skip("not recorded here: FORM13F_metadata.json")
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.securities (security_id, cik, name, type, fetched_at) "
                "VALUES (320193001, 320193, 'APPLE', 'CS', now())"
            )
        )
    box = Sandbox(open_market("recorded", recordings=recordings), mode="recorded")
    with running(box) as address:
        for name, value in connections.environment(address).items():
            monkeypatch.setenv(name, value)
        for name in ("cusips", "institutional_holdings", "institutional_ownership"):
            params = {"quarters": ["2020Q4", "2022Q4", "2023Q3", "2024Q4"]}
            run = base.Run(dag_id=name, run_id="first", partition_key="2025-03-15", engine=database, landing=landing,
                           params=params)  # fmt: skip
            base.run_load(LOADS[name], run)
    with database.connect() as connection:
        filings = connection.execute(
            text("SELECT accession_no, filed_on, rows, value_unit, reconciled FROM closingbell.institutional_filings")
        )
        found = {row.accession_no: tuple(row)[1:] for row in filings}
        apple = connection.execute(
            text(
                "SELECT shares, market_value, known_at FROM closingbell.institutional_holdings "
                "WHERE accession_no = '0001619124-21-000002' AND cusip = '037833100'"
            )
        ).one()
        totals = dict(
            connection.execute(
                text("SELECT accession_no, sum(market_value) FROM closingbell.institutional_holdings GROUP BY 1")
            ).all()
        )
    assert found == {
        "0001140361-23-013281": (date(2023, 3, 22), 6, 1, True),
        "0001619124-21-000002": (date(2021, 2, 12), 5, 1000, True),
        "0001790837-23-000002": (date(2023, 1, 9), 90, 1, True),  # no price of that day is recorded
        "0001894188-23-000007": (date(2023, 11, 14), 14, 1, True),
        "0001951757-25-000093": (date(2025, 1, 22), 77, 1, True),
    }
    # 230054 thousand for 1733777 shares, on ACTIAM's table; without an acceptance known at 22:00 New York
    assert tuple(apple) == (1733777, 230_054_000, datetime(2021, 2, 13, 3, tzinfo=UTC))
    assert totals["0001140361-23-013281"] == 11_019_796
    assert totals["0001619124-21-000002"] == 732_158_000


def test_loose_pairs_of_a_folder_load(folder: Path, database: Engine, landing: Landing, tmp_path: Path):
    for name in (
        "0001951757-25-000093_primary_doc.xml",
        "0001951757-25-000093_infotable.xml",
        "0001619124-21-000002_primary_doc.xml",
        "0001619124-21-000002_infotable.xml",  # nothing says when it was filed
        "0001894188-23-000007_infotable.xml",
    ):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    header = {"ACCESSION-NUMBER": "0001951757-25-000093", "FILING-DATE": "2025-01-22"}  # of its .nc
    (tmp_path / "0001951757-25-000093.metadata.json").write_text(json.dumps({"submission": header}))
    run = base.Run(dag_id="institutional_holdings", run_id="first", partition_key="2025-03-15", engine=database,
                   landing=landing, params={"from_files": [str(tmp_path)]})  # fmt: skip
    counts = base.run_load(LOADS["institutional_holdings"], run)
    assert counts["institutional_holdings"]["inserted"] == 77
    with database.connect() as connection:
        filings = connection.execute(
            text(
                "SELECT accession_no, known_at, rows, reported_total, reconciled FROM closingbell.institutional_filings"
            )
        ).all()
        failed = connection.execute(text("SELECT key, error FROM ops.fetch_failures ORDER BY key")).all()
    # 77 entries of 194611845 on the cover page; without an acceptance known at 22:00 New York
    known_at = datetime(2025, 1, 23, 3, tzinfo=UTC)
    assert [tuple(row) for row in filings] == [("0001951757-25-000093", known_at, 77, 194_611_845.0, True)]
    assert [key for key, _ in failed] == ["0001619124-21-000002", "0001894188-23-000007"]
    assert "day of filing is not known" in failed[0][1]
    assert "without a cover page" in failed[1][1]
    again = base.replay(LOADS["institutional_holdings"], dataclasses.replace(run, run_id="replay", unread=[]))
    assert {count["unchanged"] for count in again.values()} == {1, 77}
