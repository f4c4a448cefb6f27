"""Recorded 13F filings (cover page and information table as XML) as the data sets the SEC would have made of them.

In: a folder with pairs ACCESSION_primary_doc.xml, ACCESSION_infotable.xml, and for some ACCESSION.nc or .txt, whose
header has the filing day. Out: {name of a data set: its zip}, columns and spelling by FORM13F_metadata.json, values
read here and not by the parser that is tested on them. Without a header the day is the signature's; one that was signed
on the quarter's last day was filed some days later, by its number.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from closingbell.shapes import read_xml

SIGNED_TO_FILED = timedelta(days=9)
Tables = dict[str, list[dict[str, str | None]]]


def data_sets(folder: Path, schema: Path) -> dict[str, tuple[date, date, bytes]]:
    """{name: (first and last day of filing, zip)} of the folder's pairs."""
    columns = {
        table["url"]: [column["name"] for column in table["tableSchema"]["columns"]]
        for table in json.loads(schema.read_text())["tables"]
    }
    by_window: dict[tuple[str, date, date], Tables] = {}
    for accession, cover, table, filed in _pairs(folder):
        tables = by_window.setdefault(_window(filed), {name: [] for name in columns})
        _add(tables, columns, accession, cover, table, filed)
    return {name: (first, last, _zipped(tables, columns)) for (name, first, last), tables in sorted(by_window.items())}


def _pairs(folder: Path) -> Iterator[tuple[str, Any, Any, date]]:
    for path in sorted(folder.glob("*_primary_doc.xml")):
        accession = path.name.removesuffix("_primary_doc.xml")
        table = path.with_name(f"{accession}_infotable.xml")
        if re.fullmatch(r"\d{10}-\d{2}-\d{6}", accession) and table.is_file():
            cover = read_xml(path.read_bytes(), root="edgarSubmission")
            lines = read_xml(table.read_bytes(), root="informationTable")
            yield accession, cover, lines, _filed(folder, accession, cover)


def _filed(folder: Path, accession: str, cover: Any) -> date:
    for header in (folder / f"{accession}.nc", folder / f"13F.{accession}.txt", folder / f"{accession}.txt"):
        if header.is_file() and (
            found := re.search(r"(?:<FILING-DATE>|FILED AS OF DATE:\s*)(\d{8})", header.read_text(errors="replace"))
        ):
            return date.fromisoformat(found[1])
    signed = _day(_text(cover, "signatureDate"))
    return signed if signed > _day(_text(cover, "periodOfReport")) else signed + SIGNED_TO_FILED


def _window(filed: date) -> tuple[str, date, date]:
    """The data set that a filing of this day is in: calendar quarters to 2023, then up to February, May, ..."""
    if filed.year < 2024:
        first = filed.replace(month=(filed.month - 1) // 3 * 3 + 1, day=1)
        return f"{filed.year}q{(filed.month + 2) // 3}", first, _end(first, 3)
    if filed < date(2024, 3, 1):
        first, last = date(2024, 1, 1), date(2024, 2, 29)
    else:
        back = filed.month % 3
        first = (filed.replace(day=1) - timedelta(days=31 * back - 15 if back else 0)).replace(day=1)
        last = _end(first, 3)
    return f"{first:%d%b%Y}-{last:%d%b%Y}".lower(), first, last


def _end(first: date, months: int) -> date:
    return (first + timedelta(days=31 * months)).replace(day=1) - timedelta(days=1)


def _add(tables: Tables, columns: dict[str, list[str]], accession: str, cover: Any, table: Any, filed: date) -> None:
    key: dict[str, str | None] = {"ACCESSION_NUMBER": accession}
    quarter = f"{_day(_text(cover, 'periodOfReport')):%d-%b-%Y}".upper()
    tables["SUBMISSION.tsv"].append(
        key
        | {"FILING_DATE": f"{filed:%d-%b-%Y}".upper(), "SUBMISSIONTYPE": _text(cover, "submissionType")}
        | {"CIK": _text(cover, "cik"), "PERIODOFREPORT": quarter}
    )
    manager = next(element for element in cover.iter() if _name(element) == "filingManager")
    numbers = [element.text or "" for element in cover.iter() if _name(element) == "form13FFileNumber"]
    tables["COVERPAGE.tsv"].append(
        key
        | {"REPORTCALENDARORQUARTER": quarter, "ISAMENDMENT": "N", "FILINGMANAGER_NAME": _text(manager, "name")}
        | {"REPORTTYPE": _text(cover, "reportType")}
        | {"FORM13FFILENUMBER": next(number.strip() for number in numbers if number.strip().startswith("028-"))}
        | {"ADDITIONALINFORMATION": _text(cover, "additionalInformation")}
    )
    tables["SUMMARYPAGE.tsv"].append(
        key | {"TABLEENTRYTOTAL": _text(cover, "tableEntryTotal"), "TABLEVALUETOTAL": _text(cover, "tableValueTotal")}
    )
    for number, line in enumerate(table, 1):
        values = {_name(element).upper(): element.text for element in line.iter()}
        tables["INFOTABLE.tsv"].append(
            key
            | {"INFOTABLE_SK": str(number)}
            | {name: values.get(name) for name in columns["INFOTABLE.tsv"] if name in values}
            | {f"VOTING_AUTH_{kind}": values[kind] for kind in ("SOLE", "SHARED", "NONE")}
        )


def _zipped(tables: Tables, columns: dict[str, list[str]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, lines in tables.items():
            rows = ["\t".join(columns[name])]
            rows += ["\t".join((line.get(column) or "").strip() for column in columns[name]) for line in lines]
            archive.writestr(zipfile.ZipInfo(name, date_time=(2025, 1, 1, 0, 0, 0)), "\n".join(rows) + "\n")
    return file.getvalue()


def _text(root: Any, name: str) -> str:
    found = next((element for element in root.iter() if _name(element) == name), None)
    return " ".join((found.text or "").split()) if found is not None else ""


def _name(element: Any) -> str:
    return element.tag.rpartition("}")[2]


def _day(text: str) -> date:
    return datetime.strptime(text, "%m-%d-%Y").date()  # noqa: DTZ007 a date
