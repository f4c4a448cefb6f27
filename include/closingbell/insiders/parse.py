"""EDGAR's lists of ownership filings, and the documents themselves (Forms 3, 4, 5 and amendments), as frames.

In: a page of the "getcurrent" Atom feed or a daily form index -> `FILINGS`; ownership XML (schemas X0101 to X0609),
bare or inside a full submission -> `Parsed`. Sources: SEC, "EDGAR Ownership XML Technical Specification"; Form 4's
general instruction 8 (transaction codes). One filing is in the feed once per filer: the accession number is its key,
and the ISSUER's CIK says whose shares were traded. One row is one line of a document, however many owners file it.

known_at: the feed's and the header's acceptance; without one, 22:00 New York on the filing day, when EDGAR closes
(forms 3, 4 and 5 keep the day of their filing until then).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl

from closingbell.edgar import (
    Header,
    accession_in,
    is_submission,
    name_header,
    submission_documents,
    submission_header,
)
from closingbell.fundamentals import daily_index
from closingbell.fundamentals.filings import OWNERSHIP_FORMS
from closingbell.shapes import Refused, read_xml

FILINGS: dict[str, Any] = {
    "accession_no": pl.String,
    "form": pl.String,
    "issuer_cik": pl.Int64,
    "filer_ciks": pl.List(pl.Int64),
    "filed_on": pl.Date,
    "accepted_at": pl.Datetime("us", "UTC"),
    "url": pl.String,
}
"""One row an accession number. issuer_cik: null from a daily index, which does not tell roles. filer_ciks: issuer and
owners. url: the full submission (.txt), whose header has the acceptance time. accepted_at: null from a daily index."""

TRADES: dict[str, Any] = {
    "accession_no": pl.String,
    "is_derivative": pl.Boolean,
    "row_no": pl.Int64,
    "form": pl.String,
    "issuer_cik": pl.Int64,
    "issuer_name": pl.String,
    "issuer_ticker": pl.String,
    "owner_ciks": pl.List(pl.Int64),
    "owner_names": pl.List(pl.String),
    "insider_name": pl.String,
    "insider_title": pl.String,
    "is_director": pl.Boolean,
    "is_officer": pl.Boolean,
    "is_ten_percent_owner": pl.Boolean,
    "is_other": pl.Boolean,
    "security_title": pl.String,
    "transaction_date": pl.Date,
    "transaction_code": pl.String,
    "transaction_type": pl.String,
    "acquired": pl.Boolean,
    "shares": pl.Float64,
    "price_per_share": pl.Float64,
    "total_value": pl.Float64,
    "shares_owned_after": pl.Float64,
    "value_owned_after": pl.Float64,
    "direct": pl.Boolean,
    "ownership_nature": pl.String,
    "is_10b5_1": pl.Boolean,
    "price_footnotes": pl.String,
    "exercise_price": pl.Float64,
    "exercisable_on": pl.Date,
    "expires_on": pl.Date,
    "underlying_title": pl.String,
    "underlying_shares": pl.Float64,
    "underlying_value": pl.Float64,
    "period_of_report": pl.Date,
    "filed_on": pl.Date,
    "known_at": pl.Datetime("us", "UTC"),
    "amends_filed_on": pl.Date,
}
"""row_no: from 1, apart for the two tables of a document, in its order. Prices and values in the issuer's currency of
trade, USD but for a few. price_per_share: null where the document gives none, 0 for a purchase or sale, or only a
footnote (price_footnotes: the text). total_value: shares times price, or the total a derivative line states instead.
is_10b5_1: null before April 2023, when the box came. insider_name: the first owner named; insider_title: the first
title; is_*: the role of any. amends_filed_on: of a 4/A, the day of the original it names."""

HOLDINGS: dict[str, Any] = {
    name: dtype
    for name, dtype in TRADES.items()
    if name
    not in {
        "transaction_date",
        "transaction_code",
        "transaction_type",
        "acquired",
        "price_per_share",
        "total_value",
        "shares",
        "is_10b5_1",
        "price_footnotes",
    }
}
"""What an owner holds without having traded it: all of a Form 3, some lines of the others; not in insider_trades."""

DOCUMENTS: dict[str, Any] = {
    "accession_no": pl.String,
    "form": pl.String,
    "issuer_cik": pl.Int64,
    "owner_ciks": pl.List(pl.Int64),
    "period_of_report": pl.Date,
    "filed_on": pl.Date,
    "known_at": pl.Datetime("us", "UTC"),
    "amends_filed_on": pl.Date,
    "trades": pl.Int64,
    "holdings": pl.Int64,
}
PROBLEMS: dict[str, Any] = {"problem": pl.String, "key": pl.String, "detail": pl.String}

TRANSACTION_TYPES = {
    "P": "purchase",
    "S": "sale",
    "V": "voluntary early report",
    "A": "grant or award",
    "D": "disposition to the issuer",
    "F": "payment of exercise price or tax with shares",
    "I": "discretionary transaction of a plan",
    "M": "exercise or conversion, exempt",
    "C": "conversion of a derivative",
    "E": "expiration of a short derivative position",
    "H": "expiration of a long derivative position with value received",
    "O": "exercise of an out-of-the-money derivative",
    "X": "exercise of an in-the-money derivative",
    "G": "gift",
    "L": "small acquisition",
    "W": "acquisition or disposition by will",
    "Z": "deposit into or withdrawal from a voting trust",
    "J": "other",
    "K": "equity swap",
    "U": "tender in a change of control",
}
"""Form 4, general instruction 8. Only P and S are open-market (or private) trades for money."""

Leaves = dict[str, str]
BRANCHES = frozenset({"nonDerivativeTable", "derivativeTable", "footnotes", "reportingOwner"})
ENTRY_TITLE = re.compile(r"^.* \((\d{10})\) \(([^()]+)\)$", re.DOTALL)
SEE_REMARKS = re.compile(r"^see remarks?\W*$", re.IGNORECASE)
FILED = re.compile(r"Filed:\s*</b>\s*(\d{4}-\d{2}-\d{2})")
XML_DAY = re.compile(r"^(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:\d{2}|T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?$")


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document, its file's name or address, and the header that the feed, or a file beside it, gives."""

    body: bytes
    name: str = ""
    header: Header = field(default_factory=Header)


@dataclass(frozen=True, slots=True)
class Parsed:
    """Frames `trades`, `holdings`, `documents` (TRADES, ...) and `problems` (PROBLEMS: what is left out, and why)."""

    trades: pl.DataFrame
    holdings: pl.DataFrame
    documents: pl.DataFrame
    problems: pl.DataFrame


def feed(body: bytes) -> pl.DataFrame:
    """A page of EDGAR's getcurrent feed -> FILINGS in the page's order (newest first), all forms, one row a filing.

    `updated` of an entry is the acceptance. Raises ValueError (Refused) where the page is no Atom feed or an entry
    lacks its accession number, form, filing day or time.
    """
    where = "sec_edgar getcurrent"
    root = read_xml(body, root="feed", what=where)
    filings: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(root.iterfind("{*}entry"), 1):
        title, address = entry.findtext("{*}title", ""), entry.find("{*}link")
        accession = accession_in(entry.findtext("{*}id", "").rpartition("=")[2])
        category, filer = entry.find("{*}category"), ENTRY_TITLE.match(title.strip())
        filed, updated = FILED.search(entry.findtext("{*}summary", "")), entry.findtext("{*}updated", "")
        form = category.get("term") if category is not None else None
        if not accession or not form or not filed or not filer or not updated or address is None:
            raise Refused(
                "another shape", f"{where}: entry {number} ({title!r}) lacks id, category, Filed, link or updated"
            )
        try:
            accepted = datetime.fromisoformat(updated).astimezone(UTC)
        except ValueError as error:
            raise Refused("another shape", f"{where}: entry {number}, column updated: {error}") from error
        cik, role = int(filer[1]), filer[2]
        row = filings.setdefault(
            accession,
            {
                "accession_no": accession,
                "form": form,
                "issuer_cik": None,
                "filer_ciks": [],
                "filed_on": date.fromisoformat(filed[1]),
                "accepted_at": accepted,
                "url": address.get("href", "").replace("-index.htm", ".txt"),
            },
        )
        if cik not in row["filer_ciks"]:
            row["filer_ciks"].append(cik)
        if role == "Issuer":
            row["issuer_cik"] = cik
    return pl.DataFrame(list(filings.values()), schema=FILINGS)


def index(body: bytes) -> pl.DataFrame:
    """A day's form index -> FILINGS of its ownership forms, one row a filing. Raises ValueError of daily_index."""
    rows = daily_index.parse(body).filter(pl.col("form").str.contains(OWNERSHIP_FORMS))
    return (
        rows.group_by("accession_no", maintain_order=True)
        .agg(
            pl.col("form", "filed_on").first(),
            pl.col("cik").unique(maintain_order=True).alias("filer_ciks"),
            pl.format("https://www.sec.gov/Archives/edgar/data/{}/{}.txt", "cik", "accession_no").first().alias("url"),
        )
        .with_columns(issuer_cik=pl.lit(None), accepted_at=pl.lit(None))
        .select(pl.col(name).cast(dtype) for name, dtype in FILINGS.items())
    )


def ownership(documents: Iterable[Document]) -> Parsed:
    """Ownership documents, bare XML or full submissions -> rows; one that cannot be read is in `problems`, by reason.

    Accession number and filing day come from `header`, else the submission's own, else the file's name. A name's day is
    taken only where the document was not signed after it (it is often the period's).
    """
    trades: list[dict[str, Any]] = []
    holdings: list[dict[str, Any]] = []
    loaded: list[dict[str, Any]] = []
    problems: list[tuple[str, str, str]] = []
    for document in documents:
        try:
            head, lines, held, flaws = _document(document)
        except Refused as refused:
            key = document.header.accession_no or accession_in(document.name) or document.name
            problems.append((refused.problem, key, f"{document.name}: {refused}"))
            continue
        trades += lines
        holdings += held
        loaded.append({**head, "trades": len(lines), "holdings": len(held)})
        problems += flaws
    return Parsed(
        _rows(trades, TRADES),
        _rows(holdings, HOLDINGS),
        _rows(loaded, DOCUMENTS),
        pl.DataFrame(problems, schema=PROBLEMS, orient="row"),
    )


def _rows(rows: list[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame({name: [row.get(name) for row in rows] for name in schema}, schema=schema)


def _document(
    document: Document,
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]], list[tuple[str, str, str]]]:
    body, header = document.body, document.header
    if is_submission(body):
        header = header.filled_from(submission_header(body))
        inside = [xml for xml in submission_documents(body) if b"ownershipDocument" in xml]
        if not inside:
            raise Refused("no ownership document", "the submission has no XML document named ownershipDocument")
        body = inside[0]
    root = read_xml(body, root="ownershipDocument")
    fields = _leaves(root, skip=BRANCHES)
    signed = (_day(_leaves(signature), "signatureDate") for signature in root.iterfind("ownerSignature"))
    named = name_header(document.name, not_before=max((day for day in signed if day), default=None))
    # a name is the weakest witness: where the header has another accession number, the header is right
    header = header if header.accession_no and header.filed_on else header.filled_from(named)
    if header.accession_no is None:
        raise Refused(
            "no accession",
            "neither the feed, a submission's header, metadata beside the file nor its name has an accession number; "
            "lay the .txt, .nc or .metadata.json of the filing beside it",
        )
    if header.filed_on is None:
        raise Refused(
            "no filing date",
            f"the accession number is known, the day of filing is not (signed "
            f"{fields.get('ownerSignature/signatureDate')}); lay the filing's .txt, .nc or .metadata.json beside it",
        )
    head = _head(fields, [_leaves(owner) for owner in root.iterfind("reportingOwner")], header)
    notes = {note.get("id"): " ".join("".join(note.itertext()).split()) for note in root.iterfind("footnotes/footnote")}
    trades: list[dict[str, Any]] = []
    holdings: list[dict[str, Any]] = []
    flaws: list[tuple[str, str, str]] = []
    for table, transaction, holding, derivative in (
        ("nonDerivativeTable", "nonDerivativeTransaction", "nonDerivativeHolding", False),
        ("derivativeTable", "derivativeTransaction", "derivativeHolding", True),
    ):
        for row_no, line in enumerate(root.iterfind(f"{table}/{transaction}"), 1):
            try:
                marks = line.iterfind("transactionAmounts/transactionPricePerShare/footnoteId")
                texts = [notes[mark.get("id")] for mark in marks if mark.get("id") in notes]
                row = _trade(_leaves(line), texts, derivative=derivative)
            except Refused as refused:
                key = f"{header.accession_no} {transaction} {row_no}"
                flaws.append((refused.problem, key, f"{document.name}: {refused}"))
                continue
            trades.append({**head, "is_derivative": derivative, "row_no": row_no, **row})
        for row_no, line in enumerate(root.iterfind(f"{table}/{holding}"), 1):
            try:
                row = _line(_leaves(line))
            except Refused as refused:
                key = f"{header.accession_no} {holding} {row_no}"
                flaws.append((refused.problem, key, f"{document.name}: {refused}"))
                continue
            holdings.append({**head, "is_derivative": derivative, "row_no": row_no, **row})
    return head, trades, holdings, flaws


def _head(fields: Leaves, owners: list[Leaves], header: Header) -> dict[str, Any]:
    form = fields.get("documentType")
    if not form or not re.match(OWNERSHIP_FORMS, form):
        raise Refused("another document", f"documentType is {form!r}; Forms 3, 4, 5 and their amendments are loaded")
    if not owners:
        raise Refused("no owner", "the document names no reportingOwner")
    role = "reportingOwnerRelationship/"
    titles = [
        owner.get(f"{role}officerTitle") or (owner.get(f"{role}otherText") if _flag(owner, f"{role}isOther") else None)
        for owner in owners
    ]
    title = next((title for title in titles if title), None)
    if title and SEE_REMARKS.match(title):
        title = fields.get("remarks", title)
    names = [owner.get("reportingOwnerId/rptOwnerName") for owner in owners]
    return {
        "accession_no": header.accession_no,
        "form": form,
        "issuer_cik": _cik(fields, "issuer/issuerCik"),
        "issuer_name": fields.get("issuer/issuerName"),
        "issuer_ticker": fields.get("issuer/issuerTradingSymbol"),
        "owner_ciks": [_cik(owner, "reportingOwnerId/rptOwnerCik") for owner in owners],
        "owner_names": [name for name in names if name],
        "insider_name": names[0],
        "insider_title": title,
        "is_director": any(_flag(owner, f"{role}isDirector") for owner in owners),
        "is_officer": any(_flag(owner, f"{role}isOfficer") for owner in owners),
        "is_ten_percent_owner": any(_flag(owner, f"{role}isTenPercentOwner") for owner in owners),
        "is_other": any(_flag(owner, f"{role}isOther") for owner in owners),
        "is_10b5_1": _flag(fields, "aff10b5One") if "aff10b5One" in fields else None,
        "period_of_report": _day(fields, "periodOfReport"),
        "filed_on": header.filed_on,
        "known_at": header.known_at(),
        "amends_filed_on": _day(fields, "dateOfOriginalSubmission"),
    }


def _line(line: Leaves) -> dict[str, Any]:
    held = line.get("ownershipNature/directOrIndirectOwnership/value")
    if held not in ("D", "I"):
        raise Refused("bad value", f"directOrIndirectOwnership is {held!r}, neither D nor I")
    return {
        "security_title": line.get("securityTitle/value"),
        "shares_owned_after": _number(line, "postTransactionAmounts/sharesOwnedFollowingTransaction/value"),
        "value_owned_after": _number(line, "postTransactionAmounts/valueOwnedFollowingTransaction/value"),
        "direct": held == "D",
        "ownership_nature": line.get("ownershipNature/natureOfOwnership/value"),
        "exercise_price": _number(line, "conversionOrExercisePrice/value"),
        "exercisable_on": _day(line, "exerciseDate/value"),
        "expires_on": _day(line, "expirationDate/value"),
        "underlying_title": line.get("underlyingSecurity/underlyingSecurityTitle/value"),
        "underlying_shares": _number(line, "underlyingSecurity/underlyingSecurityShares/value"),
        "underlying_value": _number(line, "underlyingSecurity/underlyingSecurityValue/value"),
    }


def _trade(line: Leaves, price_notes: list[str], *, derivative: bool) -> dict[str, Any]:
    traded_on = _day(line, "transactionDate/value")
    if traded_on is None:
        raise Refused("no transaction date", "transactionDate is absent")
    code = line.get("transactionCoding/transactionCode")
    if code not in TRANSACTION_TYPES:
        raise Refused(
            "unknown transaction code", f"transactionCode is {code!r}; Form 4's instruction 8 has no such code"
        )
    way = line.get("transactionAmounts/transactionAcquiredDisposedCode/value")
    if way not in ("A", "D"):
        raise Refused("bad value", f"transactionAcquiredDisposedCode is {way!r}, neither A nor D")
    shares = _decimal(line, "transactionAmounts/transactionShares/value")
    if not derivative and code in ("P", "S") and (code == "P") != (way == "A"):  # which of the two is the slip?
        raise Refused("code against way", f"a line of code {code} has transactionAcquiredDisposedCode {way}")
    price = _decimal(line, "transactionAmounts/transactionPricePerShare/value")
    if price == 0 and code in ("P", "S"):  # for the price that a footnote has
        price = None
    stated = _decimal(line, "transactionAmounts/transactionTotalValue/value")
    total = shares * price if shares is not None and price is not None else stated
    if shares is None and price == stated:  # notes: the price of all of them stands in the field of one
        price = None
    return {
        **_line(line),
        "transaction_date": traded_on,
        "transaction_code": code,
        "transaction_type": TRANSACTION_TYPES[code],
        "acquired": way == "A",
        "shares": _float(shares),
        "price_per_share": _float(price),
        "total_value": _float(total),
        "price_footnotes": "\n".join(price_notes) or None,
    }


def _leaves(element: Any, *, skip: frozenset[str] = frozenset()) -> Leaves:
    """Text of the leaves below an element by their path, the first of each path: one walk for all fields."""
    leaves: Leaves = {}

    def walk(parent: Any, prefix: str) -> None:
        for child in parent:
            if len(child):
                if child.tag not in skip:
                    walk(child, f"{prefix}{child.tag}/")
            elif text := (child.text or "").strip():
                leaves.setdefault(f"{prefix}{child.tag}", text)

    walk(element, "")
    return leaves


def _flag(fields: Leaves, name: str) -> bool:
    return fields.get(name, "0").lower() in ("1", "true", "y", "yes")


def _cik(fields: Leaves, name: str) -> int:
    digits = fields.get(name, "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise Refused("bad value", f"{name} is {digits!r}, no CIK")
    return int(digits)


def _day(fields: Leaves, name: str) -> date | None:
    if (text := fields.get(name)) is None:
        return None
    try:  # an XML Schema date may carry a time zone
        return date.fromisoformat(XML_DAY.sub(r"\1", text))
    except ValueError as error:
        raise Refused("bad value", f"{name} is {text!r}, no date") from error


def _decimal(fields: Leaves, name: str) -> Decimal | None:
    if (text := fields.get(name)) is None:
        return None
    try:
        number = Decimal(text.replace(",", "").removeprefix("$"))
    except InvalidOperation as error:
        raise Refused("bad value", f"{name} is {text!r}, no number") from error
    if not number.is_finite() or number < 0 or number > Decimal(10) ** 18:
        raise Refused("bad value", f"{name} is {text!r}, out of range")
    return number


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)


def _number(fields: Leaves, name: str) -> float | None:
    return _float(_decimal(fields, name))
