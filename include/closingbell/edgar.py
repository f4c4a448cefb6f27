"""EDGAR's envelopes: the header of a submission, and the documents in it.

In: bytes as EDGAR serves them. Out: a `Header`, with the documents of a full submission (.txt, .nc).
Source: EDGAR Filer Manual vol. II (submission header tags).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from closingbell.sessions import NEW_YORK
from closingbell.shapes import Refused

ACCESSION = re.compile(r"(?<!\d)(\d{10})-?(\d{2})-?(\d{6})(?!\d)")
DAY_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d{2})-?(\d{2})-?(\d{2})(?!\d)")
HEADER_FIELDS = {
    "accession_no": re.compile(rb"ACCESSION[- ]NUMBER(?:>|:\s*)([\d-]{18,20})"),
    "form": re.compile(rb"(?:<TYPE>|CONFORMED SUBMISSION TYPE:\s*)([^<\r\n]+)"),
    "filed_on": re.compile(rb"(?:<FILING-DATE>|FILED AS OF DATE:\s*)(\d{8})"),
    "accepted_at": re.compile(rb"<ACCEPTANCE-DATETIME>\s*(\d{14})"),
}


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is known of a filing from outside its documents. accepted_at is in UTC; None where the source is silent."""

    accession_no: str | None = None
    form: str | None = None
    filed_on: date | None = None
    accepted_at: datetime | None = None

    def known_at(self) -> datetime | None:
        """Acceptance, else 22:00 New York on the filing day, in UTC: EDGAR accepts nothing of that day later."""
        if self.accepted_at is not None:
            return self.accepted_at
        if self.filed_on is None:
            return None
        return datetime.combine(self.filed_on, time(22), NEW_YORK).astimezone(UTC)

    def filled_from(self, other: Header) -> Header:
        """This header, its gaps filled from another one of the same filing. Refused where the two name two filings."""
        if self.accession_no and other.accession_no and self.accession_no != other.accession_no:
            raise Refused(
                "accession conflict",
                f"two accession numbers for one document: {self.accession_no} and {other.accession_no}; "
                "lay the header of this very filing beside it",
            )
        gaps = {name: getattr(other, name) for name in vars(self) if getattr(self, name) is None}
        return replace(self, **gaps)


def is_submission(body: bytes) -> bool:
    """Whether these bytes are a full submission (SGML: .txt or .nc) and not a document of one."""
    return body[:4096].lstrip().startswith((b"<SUBMISSION>", b"<SEC-DOCUMENT>", b"<SEC-HEADER>", b"-----BEGIN PRIV"))


def submission_header(body: bytes) -> Header:
    """The header of a full submission, the tagged form (.nc) and the written one (.txt). Times are New York's."""
    head = body.partition(b"<DOCUMENT>")[0]
    found = {
        name: match[1].decode("latin-1").strip()
        for name, field in HEADER_FIELDS.items()
        if (match := field.search(head))
    }
    try:
        accepted = datetime.strptime(found["accepted_at"], "%Y%m%d%H%M%S") if "accepted_at" in found else None  # noqa: DTZ007
        return Header(
            accession_no=accession_in(found.get("accession_no", "")),
            form=found.get("form"),
            filed_on=date.fromisoformat(found["filed_on"]) if "filed_on" in found else None,
            accepted_at=accepted.replace(tzinfo=NEW_YORK).astimezone(UTC) if accepted else None,
        )
    except ValueError as error:
        raise Refused("bad submission header", f"a date of the submission's header is none: {error}") from error


def submission_documents(body: bytes) -> list[bytes]:
    """The XML documents inside a full submission, in their order; exhibits in other formats are left out."""
    parts = (next(_between(part, b"<XML>", b"</XML>"), None) for part in _between(body, b"<DOCUMENT>", b"</DOCUMENT>"))
    return [xml.strip() for xml in parts if xml is not None]


def _between(body: bytes, opening: bytes, closing: bytes) -> Iterator[bytes]:
    # an expression would try each opening that nothing closes to the body's end
    end = 0
    while (start := body.find(opening, end)) >= 0 and (end := body.find(closing, start)) >= 0:
        yield body[start + len(opening) : end]


class _Submission(msgspec.Struct):
    accession: str = msgspec.field(name="ACCESSION-NUMBER")
    filed: str = msgspec.field(name="FILING-DATE")
    form: str | None = msgspec.field(name="TYPE", default=None)
    accepted: str | None = msgspec.field(name="ACCEPTANCE-DATETIME", default=None)


class _Metadata(msgspec.Struct):
    submission: _Submission


def metadata_header(body: bytes) -> Header:
    """The header of a `*.metadata.json` file: a submission's header, parsed and laid beside its documents."""
    try:
        fields = msgspec.json.decode(body, type=_Metadata).submission
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Refused("bad submission header", f"metadata: {error}") from error
    tagged = f"<ACCESSION-NUMBER>{fields.accession}<FILING-DATE>{fields.filed.replace('-', '')}"
    tagged += f"<TYPE>{fields.form}" if fields.form else ""
    tagged += f"<ACCEPTANCE-DATETIME>{fields.accepted}" if fields.accepted else ""
    return submission_header(tagged.encode())


def accession_in(name: str) -> str | None:
    """The accession number in a file's name or address (with dashes or, as in EDGAR's folders, without), else None."""
    found = {"-".join(match) for match in ACCESSION.findall(name)}
    return found.pop() if len(found) == 1 else None


def name_header(name: str, *, not_before: date | None = None) -> Header:
    """What a file's own name says: its accession number, and a day, where that can be the filing's.

    The day in such a name is often the period's, as in form4_ARW_2025-02-12_0001127602-25-004598.xml, filed on the
    13th. So one before `not_before` (the day the document was signed) is not believed: it would leak.
    """
    rest = ACCESSION.sub(" ", name.rpartition("/")[2])
    days = []
    for match in DAY_IN_NAME.findall(rest):
        try:
            days.append(date(*map(int, match)))
        except ValueError:
            continue
    believed = len(days) == 1 and (not_before is None or not_before <= days[0] <= not_before + timedelta(days=366))
    return Header(accession_no=accession_in(name), filed_on=days[0] if believed else None)
