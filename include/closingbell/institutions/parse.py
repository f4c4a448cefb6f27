"""Form 13F, the SEC's quarterly data sets and single filings, and the fails-to-deliver files, as frames.

In: the zip of a data set (SUBMISSION, COVERPAGE, OTHERMANAGER, OTHERMANAGER2, SUMMARYPAGE, INFOTABLE as .tsv), read as
a stream; the XML pair of a filing or its full submission; cnsfails files. Out: `FILINGS`, `MANAGERS`, `HOLDINGS` and
`FAILS`. Sources: SEC, "Form 13F Data Sets" (readme and FORM13F_metadata.json); "EDGAR Form 13F XML Technical
Specification"; "Fails-to-Deliver Data" (record layout). Values stay as reported: what they mean is decided in
compute, by filing.

Both ways give a filing the same rows under the same keys (row_no is the line's place in the information table), so that
a data set replaces the filings loaded between the sets.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, BinaryIO

import polars as pl

from closingbell.archives import Archive
from closingbell.edgar import (
    Header,
    is_submission,
    submission_documents,
    submission_header,
)
from closingbell.fundamentals.filings import known_without_acceptance
from closingbell.shapes import Refused, read_xml

FILINGS: dict[str, Any] = {
    "accession_no": pl.String,
    "form": pl.String,
    "report_type": pl.String,
    "institution_cik": pl.Int64,
    "institution_name": pl.String,
    "file_number": pl.String,
    "quarter": pl.Date,
    "filed_on": pl.Date,
    "known_at": pl.Datetime("us", "UTC"),
    "amendment_no": pl.Int64,
    "amendment_type": pl.String,
    "entry_total": pl.Int64,
    "value_total": pl.Float64,
    "confidential_omitted": pl.Boolean,
}
"""quarter: its last day. amendment_type: RESTATEMENT, NEW HOLDINGS, null for an original. entry_total, value_total: as
the summary page declares them, the value in the filing's own unit. report_type: 13F HOLDINGS REPORT, 13F NOTICE (holds
nothing), 13F COMBINATION REPORT. known_at: acceptance, else 22:00 New York on filed_on."""

MANAGERS: dict[str, Any] = {
    "accession_no": pl.String,
    "included": pl.Boolean,
    "sequence": pl.Int64,
    "manager_cik": pl.Int64,
    "file_number": pl.String,
    "manager_name": pl.String,
}
"""included: a manager whose positions this filing reports, named in its lines by sequence; else one that reports for
this filer."""

HOLDINGS: dict[str, Any] = {
    "accession_no": pl.String,
    "row_no": pl.Int64,
    "issuer_name": pl.String,
    "class_title": pl.String,
    "cusip": pl.String,
    "figi": pl.String,
    "reported_value": pl.Float64,
    "amount": pl.Float64,
    "amount_type": pl.String,
    "put_call": pl.String,
    "discretion": pl.String,
    "other_managers": pl.String,
    "voting_sole": pl.Float64,
    "voting_shared": pl.Float64,
    "voting_none": pl.Float64,
}
"""reported_value: in the filing's unit. amount: shares (amount_type SH) or principal (PRN). put_call: put, call, null
for the security itself. discretion: SOLE, DFND, OTR. other_managers: sequence numbers, comma between."""

FAILS: dict[str, Any] = {
    "cusip": pl.String,
    "symbol": pl.String,
    "settled_on": pl.Date,
    "description": pl.String,
    "close": pl.Float64,
}
"""close: the price of the day before settled_on, null where the file has none."""
PROBLEMS: dict[str, Any] = {"problem": pl.String, "key": pl.String, "detail": pl.String}

TABLES: dict[str, tuple[set[str], set[str]]] = {
    "SUBMISSION": ({"ACCESSION_NUMBER", "FILING_DATE", "SUBMISSIONTYPE", "CIK", "PERIODOFREPORT"}, set()),
    "COVERPAGE": (
        {"ACCESSION_NUMBER", "ISAMENDMENT", "AMENDMENTNO", "AMENDMENTTYPE", "FILINGMANAGER_NAME", "REPORTTYPE"}
        | {"FORM13FFILENUMBER"},
        {"REPORTCALENDARORQUARTER", "CONFDENIEDEXPIRED", "DATEDENIEDEXPIRED", "DATEREPORTED", "CRDNUMBER"}
        | {"REASONFORNONCONFIDENTIALITY", "SECFILENUMBER", "PROVIDEINFOFORINSTRUCTION5", "ADDITIONALINFORMATION"}
        | {f"FILINGMANAGER_{part}" for part in ("STREET1", "STREET2", "CITY", "STATEORCOUNTRY", "ZIPCODE")},
    ),
    "OTHERMANAGER": (
        {"ACCESSION_NUMBER", "CIK", "FORM13FFILENUMBER", "NAME"},
        {"OTHERMANAGER_SK", "CRDNUMBER", "SECFILENUMBER"},
    ),
    "OTHERMANAGER2": (
        {"ACCESSION_NUMBER", "SEQUENCENUMBER", "CIK", "FORM13FFILENUMBER", "NAME"},
        {"CRDNUMBER", "SECFILENUMBER"},
    ),
    "SUMMARYPAGE": (
        {"ACCESSION_NUMBER", "TABLEENTRYTOTAL", "TABLEVALUETOTAL", "ISCONFIDENTIALOMITTED"},
        {"OTHERINCLUDEDMANAGERSCOUNT"},
    ),
    "INFOTABLE": (
        {"ACCESSION_NUMBER", "INFOTABLE_SK", "NAMEOFISSUER", "TITLEOFCLASS", "CUSIP", "VALUE", "SSHPRNAMT"}
        | {"SSHPRNAMTTYPE", "PUTCALL", "INVESTMENTDISCRETION", "OTHERMANAGER"}
        | {f"VOTING_AUTH_{kind}" for kind in ("SOLE", "SHARED", "NONE")},
        {"FIGI"},
    ),
}
"""Columns that must be there, and others that are known; one beyond both is an error naming it."""

ACCESSION_SHAPE = r"^\d{10}-\d{2}-\d{6}$"
BATCH_BYTES = 16 * 2**20
SUBMISSION_BYTES = 128 * 2**20
FAILS_COLUMNS = ["SETTLEMENT DATE", "CUSIP", "SYMBOL", "QUANTITY (FAILS)", "DESCRIPTION", "PRICE"]
SOURCES = {
    "accession_no": "ACCESSION_NUMBER",
    "issuer_name": "NAMEOFISSUER",
    "class_title": "TITLEOFCLASS",
    "cusip": "CUSIP",
    "figi": "FIGI",
    "reported_value": "VALUE",
    "amount": "SSHPRNAMT",
    "amount_type": "SSHPRNAMTTYPE",
    "put_call": "PUTCALL",
    "discretion": "INVESTMENTDISCRETION",
    "other_managers": "OTHERMANAGER",
    "voting_sole": "VOTING_AUTH_SOLE",
    "voting_shared": "VOTING_AUTH_SHARED",
    "voting_none": "VOTING_AUTH_NONE",
}
"""Column of HOLDINGS -> column of INFOTABLE.tsv."""
NUMBERS = [SOURCES[name] for name, dtype in HOLDINGS.items() if name in SOURCES and dtype == pl.Float64]
XML_COLUMNS = {
    "NAMEOFISSUER": "nameOfIssuer",
    "TITLEOFCLASS": "titleOfClass",
    "CUSIP": "cusip",
    "FIGI": "figi",
    "VALUE": "value",
    "SSHPRNAMT": "shrsOrPrnAmt/sshPrnamt",
    "SSHPRNAMTTYPE": "shrsOrPrnAmt/sshPrnamtType",
    "PUTCALL": "putCall",
    "INVESTMENTDISCRETION": "investmentDiscretion",
    "OTHERMANAGER": "otherManager",
    "VOTING_AUTH_SOLE": "votingAuthority/Sole",
    "VOTING_AUTH_SHARED": "votingAuthority/Shared",
    "VOTING_AUTH_NONE": "votingAuthority/None",
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """Frames `filings`, `managers`, `holdings` (FILINGS, ...) and `problems` (PROBLEMS: what is left out)."""

    filings: pl.DataFrame
    managers: pl.DataFrame
    holdings: pl.DataFrame
    problems: pl.DataFrame


class DataSet:
    """A quarter's zip. `filings`, `managers` and `problems` at once; `holdings()` as often as wanted, batch by batch.

    Raises ValueError (Refused, ArchiveRefused) naming the member and column where the archive is not of its shape.
    """

    def __init__(self, file: BinaryIO, name: str = "") -> None:
        self.where = f"sec_edgar form13f {name}".strip()
        self._archive = Archive(file, self.where)
        tables = {name: self._table(name) for name in TABLES if name != "INFOTABLE"}
        self.filings, unreadable = _filings(tables)
        self.managers = _managers(tables)
        self.problems = pl.concat([_no_cover(tables, self.where), unreadable])

    def holdings(
        self, *, columns: Sequence[str] = tuple(HOLDINGS), batch_bytes: int = BATCH_BYTES
    ) -> Iterator[pl.DataFrame]:
        """HOLDINGS in batches of about `batch_bytes` of text (3.2 million lines are some 20), in the table's order.

        columns: those wanted, all by default; a pass that looks at a few costs a third.
        """
        wanted = [name for name in HOLDINGS if name in columns]
        seen = pl.DataFrame(schema={"accession_no": pl.String, "_before": pl.Int64})
        for text in _whole_lines(self._archive.blocks("INFOTABLE.tsv"), batch_bytes):
            batch = _holdings(self._frame("INFOTABLE", text, wanted), wanted)
            if "row_no" not in wanted:
                yield batch
                continue
            # a filing's lines may go on in the next batch: its numbers go on with them
            batch = batch.join(seen, on="accession_no", how="left", maintain_order="left").with_columns(
                row_no=pl.int_range(1, pl.len() + 1).over("accession_no") + pl.col("_before").fill_null(0)
            )
            counts = batch.group_by("accession_no").agg(pl.col("row_no").max().alias("_before"))
            seen = pl.concat([seen, counts]).group_by("accession_no").agg(pl.col("_before").max())
            yield batch.select(pl.col(name).cast(HOLDINGS[name]) for name in wanted)

    def _table(self, name: str) -> pl.DataFrame:
        return self._frame(name, self._archive.bytes_of(f"{name}.tsv"))

    def _frame(self, table: str, text: bytes, wanted: Sequence[str] = ()) -> pl.DataFrame:
        required, known = TABLES[table]
        where = f"{self.where}, {table}.tsv"
        text = text.removeprefix(b"\xef\xbb\xbf")
        end = text.find(b"\n")
        header = text[: end if end >= 0 else len(text)].decode("utf-8", "replace").strip().split("\t")
        if missing := required - set(header):
            raise Refused("missing column", f"{where}: column {', '.join(sorted(missing))} is missing; it has {header}")
        if unknown := set(header) - required - known:
            raise Refused(
                "unknown column", f"{where}: column {', '.join(sorted(unknown))} is unknown; say what it means"
            )
        read = {SOURCES[name] for name in wanted if name in SOURCES} | {"ACCESSION_NUMBER"} if wanted else required

        def columns(names: Iterable[str], numbers: Iterable[str] = ()) -> pl.DataFrame:
            return pl.read_csv(
                text,
                separator="\t",
                quote_char=None,  # names have quotes in them, fields have none around them
                infer_schema=False,
                schema_overrides=dict.fromkeys(numbers, pl.Float64),
                ignore_errors=True,  # what is no plain number is null, and read again
                truncate_ragged_lines=True,
                encoding="utf8-lossy",
                columns=[name for name in header if name in names],
            )

        numbers = [name for name in NUMBERS if name in read]
        try:
            frame = columns(read, numbers)
            if odd := [name for name in numbers if frame[name].null_count()]:
                frame = frame.with_columns(columns(odd).select(_number(pl.col(name)) for name in odd))
        except pl.exceptions.PolarsError as error:
            raise Refused("another shape", f"{where}: {error}") from error
        return frame


def _whole_lines(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Texts of about `size` bytes that end at a line's end, each under the table's header."""
    where, blocks, head = "sec_edgar form13f, INFOTABLE.tsv", iter(blocks), b""
    while b"\n" not in head:
        if len(head) > 2**20:
            raise Refused("another shape", f"{where}: no line ends in the first MiB")
        if (block := next(blocks, None)) is None:
            raise Refused("another shape", f"{where}: no line")
        head += block
    header, newline, rest = head.partition(b"\n")
    parts: list[bytes] = []
    held = 0
    for block in chain([rest], blocks):
        parts.append(block)
        held += len(block)
        if held < size:
            continue
        if whole := block.rfind(b"\n") + 1:
            yield b"".join([header, newline, *parts[:-1], block[:whole]])
            parts, held = [block[whole:]], len(block) - whole
        elif held > 4 * size:
            raise Refused("another shape", f"{where}: a line is longer than a batch")
    yield b"".join([header, newline, *parts])


def _filings(tables: dict[str, pl.DataFrame]) -> tuple[pl.DataFrame, pl.DataFrame]:
    cover = tables["COVERPAGE"].unique("ACCESSION_NUMBER", keep="first", maintain_order=True)
    summary = tables["SUMMARYPAGE"].unique("ACCESSION_NUMBER", keep="first", maintain_order=True)
    joined = (
        tables["SUBMISSION"]
        .filter(pl.col("ACCESSION_NUMBER").str.contains(ACCESSION_SHAPE))
        .unique("ACCESSION_NUMBER", keep="first", maintain_order=True)
        .join(cover, on="ACCESSION_NUMBER", how="inner", maintain_order="left")
        .join(summary, on="ACCESSION_NUMBER", how="left", maintain_order="left")
    )
    days = {"filed_on": "FILING_DATE", "quarter": "PERIODOFREPORT"}
    dated = joined.with_columns(
        pl.col(column).str.strip_chars().str.to_date("%d-%b-%Y", strict=False).alias(day)
        for day, column in days.items()
    )
    found, problems = _typed_filings(dated.with_columns(known_at=known_without_acceptance(pl.col("filed_on"))), days)
    if (joined.height - found.height) * 10 > joined.height:
        raise Refused(
            "another shape", f"sec_edgar form13f: a tenth is unreadable: {problems['detail'].head(5).to_list()}"
        )
    return found, problems


FILING_NUMBERS = {
    "institution_cik": "CIK",
    "amendment_no": "AMENDMENTNO",
    "entry_total": "TABLEENTRYTOTAL",
    "value_total": "TABLEVALUETOTAL",
}


def _typed_filings(rows: pl.DataFrame, days: dict[str, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """FILINGS, and PROBLEMS by accession number for what is written and cannot be read: then it is null. A filing
    without a CIK or a day (`days`: column -> its source) is left out."""
    amendment_type = pl.col("AMENDMENTTYPE").str.strip_chars().str.to_uppercase()
    read = rows.with_columns(
        _number(pl.col(source)).alias(name) for name, source in FILING_NUMBERS.items()
    ).with_columns(
        pl.when(pl.col(name) == pl.col(name).round()).then(name).alias(name)
        for name in FILING_NUMBERS
        if FILINGS[name] == pl.Int64
    )
    needed = ["institution_cik", *days]
    problems = []
    for name, source in (FILING_NUMBERS | days).items():
        written = pl.col(source).str.strip_chars().fill_null("")
        wrong = pl.col(name).is_null() & ((written != "") | pl.lit(name in needed))
        problems.append(
            read.filter(wrong).select(
                problem=pl.lit("unreadable field"),
                key="ACCESSION_NUMBER",
                detail=pl.format("{}: {} '{}' cannot be read", "ACCESSION_NUMBER", pl.lit(source), written),
            )
        )
    frame = read.drop_nulls(needed).select(
        accession_no="ACCESSION_NUMBER",
        form="SUBMISSIONTYPE",
        report_type=pl.col("REPORTTYPE").str.to_uppercase(),
        institution_cik="institution_cik",
        institution_name="FILINGMANAGER_NAME",
        file_number=_file_number(pl.col("FORM13FFILENUMBER")),
        quarter=pl.col("quarter").dt.month_end(),
        filed_on="filed_on",
        known_at="known_at",
        amendment_no="amendment_no",
        amendment_type=pl.when(pl.col("SUBMISSIONTYPE").str.ends_with("/A")).then(amendment_type),
        entry_total="entry_total",
        value_total="value_total",
        confidential_omitted=pl.col("ISCONFIDENTIALOMITTED").str.to_lowercase().is_in(["y", "true", "1"]),
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in FILINGS.items()), pl.concat(problems)


def _file_number(text: pl.Expr) -> pl.Expr:
    # 28-2226, 028-2226 and 028-02226 are one
    return text.str.extract(r"^0*28-0*(\d+)$", 1).str.zfill(5).map_batches(lambda s: "028-" + s, pl.String)


def _managers(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    reporting = tables["OTHERMANAGER"].with_columns(SEQUENCENUMBER=pl.lit(None, dtype=pl.String), included=False)
    included = tables["OTHERMANAGER2"].with_columns(included=True)
    columns = ["ACCESSION_NUMBER", "included", "SEQUENCENUMBER", "CIK", "FORM13FFILENUMBER", "NAME"]
    return (
        pl.concat([reporting.select(columns), included.select(columns)])
        .filter(pl.col("ACCESSION_NUMBER").str.contains(ACCESSION_SHAPE))
        .select(
            accession_no="ACCESSION_NUMBER",
            included="included",
            sequence=pl.col("SEQUENCENUMBER").cast(pl.Int64, strict=False),
            manager_cik=pl.col("CIK").cast(pl.Int64, strict=False),
            file_number=_file_number(pl.col("FORM13FFILENUMBER")),
            manager_name="NAME",
        )
        .select(pl.col(name).cast(dtype) for name, dtype in MANAGERS.items())
    )


def _no_cover(tables: dict[str, pl.DataFrame], where: str) -> pl.DataFrame:
    shaped = pl.col("ACCESSION_NUMBER").str.contains(ACCESSION_SHAPE).fill_null(False)
    covers = tables["COVERPAGE"].filter(shaped).select("ACCESSION_NUMBER")
    return (
        tables["SUBMISSION"]
        .join(covers, on="ACCESSION_NUMBER", how="anti")
        .select(
            problem=pl.lit("no cover page"),
            key=pl.col("ACCESSION_NUMBER").fill_null("?"),
            detail=pl.lit(
                f"{where}: a line of SUBMISSION.tsv without an accession number or its line in COVERPAGE.tsv"
            ),
        )
    )


def _holdings(rows: pl.DataFrame, wanted: Sequence[str]) -> pl.DataFrame:
    """The wanted columns of HOLDINGS but for row_no (accession_no always), of lines in the data set's columns."""
    if "FIGI" not in rows.columns:
        rows = rows.with_columns(FIGI=pl.lit(None, dtype=pl.String))
    written = {
        "cusip": pl.col("CUSIP").str.strip_chars().str.to_uppercase().map_batches(_whole_cusips, pl.String),
        "amount_type": pl.col("SSHPRNAMTTYPE").str.to_uppercase(),
        "put_call": pl.col("PUTCALL").str.to_lowercase(),
        "discretion": pl.col("INVESTMENTDISCRETION").str.to_uppercase(),
        "other_managers": pl.col("OTHERMANAGER").str.replace_all(r"[\s,;]+", ",").str.strip_chars(","),
    }
    numbers = {
        name: _number(pl.col(source)) if rows.schema[source] == pl.String else _finite(pl.col(source))
        for name, source in SOURCES.items()
        if name in wanted and source in NUMBERS
    }
    return rows.filter(pl.col("ACCESSION_NUMBER").str.contains(ACCESSION_SHAPE)).select(
        (written | numbers).get(name, pl.col(source)).alias(name)
        for name, source in SOURCES.items()
        if name in wanted or name == "accession_no"
    )


def _whole_cusips(cusips: pl.Series) -> pl.Series:
    """Short ones with the leading zeros that a spreadsheet ate, where the check digit says so, else with the check
    digit that was left off (CUSIP Global Services, "modulus 10 double add double")."""
    short = cusips.filter(cusips.str.len_bytes().is_between(6, 8)).unique()
    return cusips.replace(short, pl.Series([_whole(text) for text in short], dtype=pl.String))


def _whole(text: str) -> str:
    padded, base = text.zfill(9), text.zfill(8)
    # foreign ones (CINS) begin with a letter, and no zero goes before it
    return padded if text[0].isdigit() and _check_digit(padded[:8]) == padded[8] else base + _check_digit(base)


def _check_digit(base: str) -> str:
    values = ["0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*@#".find(sign) * (1 + place % 2) for place, sign in enumerate(base)]
    return str(-sum(value // 10 + value % 10 for value in values) % 10)


def _number(text: pl.Expr) -> pl.Expr:
    """The number written, with or without commas between thousands; null where it is none."""
    return _finite(text.str.strip_chars().str.replace_all(r",(\d{3})", "$1").cast(pl.Float64, strict=False))


def _finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)


def filing(body: bytes, table: bytes | None = None, *, header: Header | None = None) -> Parsed:
    """One filing: its full submission, or its cover page (primary_doc.xml) and information table (None for a notice).

    header: accession number, filing day and acceptance, where the submission does not bring its own. Raises Refused
    ("no accession", "no filing date", "document type declaration", ...) where the filing cannot be told.
    """
    header = header or Header()
    if is_submission(body):
        if len(body) > SUBMISSION_BYTES:
            raise Refused("document too large", f"a submission of {len(body):,} bytes; {SUBMISSION_BYTES:,} are read")
        header = header.filled_from(submission_header(body))
        inside = submission_documents(body)
        covers = [xml for xml in inside if b"edgarSubmission" in xml[:4096]]
        tables = [xml for xml in inside if b"informationTable" in xml[:4096]]
        if not covers:
            raise Refused("no cover page", "the submission has no XML document named edgarSubmission (before 2013?)")
        body, table = covers[0], tables[0] if tables else None
    cover = _localized(read_xml(body, root="edgarSubmission"))
    if header.accession_no is None:
        raise Refused("no accession", "a 13F cover page without a header; give its submission or accession number")
    if header.filed_on is None:
        raise Refused("no filing date", f"{header.accession_no}: the day of filing is not known; give its submission")
    filings, problems = _cover_filings(cover, header)
    if table is None and (filings["entry_total"].item() or 0) > 0:
        raise Refused(
            "no information table", f"{header.accession_no}: the cover page declares entries; give their table with it"
        )
    rows: list[dict[str, str | None]] = []
    if table is not None:
        rows = [
            {column: (line.findtext(path) or "").strip() or None for column, path in XML_COLUMNS.items()}
            for line in _localized(read_xml(table, root="informationTable")).iterfind("infoTable")
        ]
    schema = dict.fromkeys(XML_COLUMNS, pl.String)
    text = pl.DataFrame({name: [row[name] for row in rows] for name in XML_COLUMNS}, schema=schema).with_columns(
        ACCESSION_NUMBER=pl.lit(header.accession_no)
    )
    holdings = _holdings(text, list(HOLDINGS)).with_columns(row_no=pl.int_range(1, pl.len() + 1))
    return Parsed(
        filings,
        _cover_managers(cover, header.accession_no),
        holdings.select(pl.col(name).cast(dtype) for name, dtype in HOLDINGS.items()),
        problems,
    )


def _localized(root: Any) -> Any:
    """The tree without namespaces: filers' prefixes differ, names do not."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _cover_filings(root: Any, header: Header) -> tuple[pl.DataFrame, pl.DataFrame]:
    page, summary = "formData/coverPage/", "formData/summaryPage/"

    def text(path: str) -> str | None:
        return (root.findtext(path) or "").strip() or None

    period = text("headerData/filerInfo/periodOfReport") or text(f"{page}reportCalendarOrQuarter")
    try:
        quarter = datetime.strptime(period or "", "%m-%d-%Y").date()  # noqa: DTZ007 a date
        row = {
            "ACCESSION_NUMBER": header.accession_no,
            "SUBMISSIONTYPE": text("headerData/submissionType"),
            "REPORTTYPE": text(f"{page}reportType"),
            "CIK": text("headerData/filerInfo/filer/credentials/cik"),
            "FILINGMANAGER_NAME": text(f"{page}filingManager/name"),
            "FORM13FFILENUMBER": text(f"{page}form13FFileNumber"),
            "AMENDMENTNO": text(f"{page}amendmentNo"),
            "AMENDMENTTYPE": text(f"{page}amendmentInfo/amendmentType"),
            "TABLEENTRYTOTAL": text(f"{summary}tableEntryTotal"),
            "TABLEVALUETOTAL": text(f"{summary}tableValueTotal"),
            "ISCONFIDENTIALOMITTED": text(f"{summary}isConfidentialOmitted"),
        }
        frame = pl.DataFrame([row], schema=dict.fromkeys(row, pl.String)).with_columns(
            quarter=pl.lit(quarter), filed_on=pl.lit(header.filed_on, dtype=pl.Date), known_at=pl.lit(header.known_at())
        )
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise Refused("bad value", f"{header.accession_no}: cover page: {error}") from error
    found, problems = _typed_filings(frame, {})
    if found.is_empty():
        raise Refused("bad value", f"cover page: {problems['detail'].item(0)}")
    return found, problems


def _cover_managers(root: Any, accession_no: str) -> pl.DataFrame:
    found = [("", manager) for manager in root.iterfind("formData/coverPage/otherManagersInfo/otherManager")]
    found += [
        (pair.findtext("sequenceNumber"), pair.find("otherManager"))
        for pair in root.iterfind("formData/summaryPage/otherManagers2Info/otherManager2")
    ]
    names = {"CIK": "cik", "FORM13FFILENUMBER": "form13FFileNumber", "NAME": "name"}
    columns = ["ACCESSION_NUMBER", "SEQUENCENUMBER", *names]
    rows: dict[bool, list[list[str | None]]] = {False: [], True: []}
    for sequence, manager in found:
        if manager is not None:
            fields = [manager.findtext(path) for path in names.values()]
            rows[bool(sequence)].append([accession_no, sequence or None, *fields])
    schema = dict.fromkeys(columns, pl.String)
    return _managers(
        {
            "OTHERMANAGER": pl.DataFrame(rows[False], schema=schema, orient="row"),
            "OTHERMANAGER2": pl.DataFrame(rows[True], schema=schema, orient="row"),
        }
    )


def fails(body: bytes, name: str = "") -> pl.DataFrame:
    """A fails-to-deliver file (its zip, or the text in it) -> FAILS: which CUSIP had which symbol, and a close, by day.

    The quantity is left out. Lines that are no record (the trailer's counts) are passed over; raises Refused where the
    header is another one or no line is a record.
    """
    where = f"sec_edgar fails_to_deliver {name}".strip()
    if body[:4] == b"PK\x03\x04":
        archive = Archive(io.BytesIO(body), where)
        if len(archive.names) != 1:
            raise Refused("another shape", f"{where}: one text file was expected, not {archive.names}")
        body = archive.bytes_of(archive.names[0])
    text = body.decode("latin-1").replace("\r", "")
    header = [column.strip() for column in text.partition("\n")[0].split("|")]
    if header != FAILS_COLUMNS:
        raise Refused("another shape", f"{where}: columns {header} where {FAILS_COLUMNS} are expected")
    rows = pl.read_csv(
        io.BytesIO(text.encode()), separator="|", quote_char=None, infer_schema=False, truncate_ragged_lines=True
    ).rename(dict(zip(text.partition("\n")[0].split("|"), header, strict=True)))
    records = rows.filter(
        pl.col("SETTLEMENT DATE").str.contains(r"^\d{8}$"), pl.col("CUSIP").str.contains(r"^[0-9A-Z*@#]{9}$")
    )
    if records.is_empty():
        raise Refused("another shape", f"{where}: no line is a record")
    return (
        records.select(
            cusip="CUSIP",
            symbol=pl.col("SYMBOL").str.strip_chars().replace("", None),
            settled_on=pl.col("SETTLEMENT DATE").str.to_date("%Y%m%d"),
            description=pl.col("DESCRIPTION").str.strip_chars(),
            close=_number(pl.col("PRICE")),
        )
        .filter(pl.col("symbol").is_not_null())
        .select(pl.col(column).cast(dtype) for column, dtype in FAILS.items())
    )
