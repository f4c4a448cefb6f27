"""EDGAR's daily form index -> which companies filed what that day.

In: the text of form.YYYYMMDD.idx, columns Form Type, Company Name, CIK, Date Filed, File Name under a dashed rule
(SEC, "Accessing EDGAR Data", daily index). Out: a frame form, cik, filed_on, accession_no.
"""

from __future__ import annotations

import re
from datetime import datetime

import polars as pl

SCHEMA = {"form": pl.String, "cik": pl.Int64, "filed_on": pl.Date, "accession_no": pl.String}
LINE = re.compile(r"^(\S.*?)\s{2,}\S.*?\s+(\d{1,10})\s+(\d{8})\s+edgar/data/\d+/(?:\d+/)?([\d-]{20})\S*\s*$")

STATEMENT_FORMS = re.compile(r"^(10-K|10-Q|10-KT|10-QT|20-F|40-F|6-K|8-K)(/A)?$")
"""Forms whose XBRL can bring new or restated facts."""


def parse(body: bytes) -> pl.DataFrame:
    """Rows of one day's index; raises ValueError where the text is no form index or a line is not of its form."""
    head, rule, rows = body.decode("latin-1").partition("\n---")
    if not rule or "Form Type" not in head:
        raise ValueError("sec_edgar daily_index: no header with 'Form Type' over a dashed rule; is it a form index?")
    parsed = []
    for number, line in enumerate(rows.split("\n")[1:], 1):
        if not line.strip():
            continue
        match = LINE.match(line)
        if not match:
            raise ValueError(f"sec_edgar daily_index: line {number} after the rule is not of its form: {line!r}")
        form, cik, filed, accession = match.groups()
        parsed.append((form, int(cik), datetime.strptime(filed, "%Y%m%d").date(), accession))  # noqa: DTZ007 a date
    return pl.DataFrame(parsed, schema=SCHEMA, orient="row")
