"""What lies beside a filing's document in a folder: the header that gives its accession number and times.

In: the path of a document. Out: the header of `<same name or accession number>.metadata.json`, `.nc` or `.txt` in its
folder. A folder downloaded from EDGAR has the documents apart from the header that was sent with them, and is named by
the accession number.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from closingbell.edgar import (
    Header,
    accession_in,
    is_submission,
    metadata_header,
    submission_header,
)
from closingbell.shapes import Refused

HEADER_BYTES = 1 << 20
METADATA = ".metadata.json"


def header_beside(path: Path) -> Header:
    """The header that lies beside a document; an empty one where none does or it cannot be read."""
    stem = path.name.removesuffix(".gz").removesuffix(".xml")
    accession = _accession(path)
    for name in dict.fromkeys(filter(None, (stem, accession, accession and accession.replace("-", "")))):
        for suffix in (METADATA, ".nc", ".txt"):
            beside = path.with_name(name + suffix)
            if beside == path or not beside.is_file():
                continue
            with beside.open("rb") as file:
                body = file.read(HEADER_BYTES)
            try:
                if suffix == METADATA:
                    return metadata_header(body)
                if is_submission(body):
                    return submission_header(body)
            except Refused:
                continue
    return Header()


def identified(path: Path, body: bytes) -> tuple[str, dict[str, Any]]:
    """(accession number, else the file's name; the header beside it as JSON) of a filing's document or submission.

    A number in the header counts before one in the name of the file, or of its folder.
    """
    beside = Header() if is_submission(body) else header_beside(path)
    inside = Header()
    if is_submission(body):
        with contextlib.suppress(Refused):  # the parser says so
            inside = submission_header(body)
    key = beside.accession_no or inside.accession_no or _accession(path) or path.name
    fields = {
        name: value if isinstance(value, str) else value.isoformat() for name, value in vars(beside).items() if value
    }
    return key, fields


def header_given(request: dict[str, Any]) -> Header:
    """The header that `identified` found beside a file, of its landed answer's request."""
    # what convert is not given it leaves to the class, out of vars()
    return Header(**vars(msgspec.convert(request.get("header") or {}, Header)))


def _accession(path: Path) -> str | None:
    return accession_in(path.name) or accession_in(path.parent.name)
