"""SEC `companyfacts` answers -> the facts of the concept map, as every filing stated them.

In: the JSON of data.sec.gov/api/xbrl/companyfacts/CIK##########.json. Out: a frame of SCHEMA, one row a (concept, unit,
period, filing). Source: SEC, "EDGAR Application Programming Interfaces".

`fy`, `fp` and `frame` describe the filing, not the period, and are not read: periods are `start` and `end` alone.
"""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl

from closingbell.fundamentals.concepts import concept_map
from closingbell.fundamentals.filings import known_without_acceptance

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "cik": pl.Int64,
    "taxonomy": pl.String,
    "concept": pl.String,
    "unit": pl.String,
    "period_start": pl.Date,
    "period_end": pl.Date,
    "accession_no": pl.String,
    "value": pl.Float64,
    "form": pl.String,
    "filed_on": pl.Date,
}
KEY = ["cik", "taxonomy", "concept", "unit", "period_start", "period_end", "accession_no"]


class _Fact(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    end: str
    val: float | None
    accn: str
    form: str
    filed: str
    start: str | None = None
    fy: Any = None
    fp: Any = None
    frame: Any = None


class _Concept(msgspec.Struct):
    units: dict[str, list[_Fact]]


class _CompanyFacts(msgspec.Struct):
    cik: int | str
    facts: dict[str, dict[str, msgspec.Raw]]


_ANSWER = msgspec.json.Decoder(_CompanyFacts)
_CONCEPT = msgspec.json.Decoder(_Concept)


def companyfacts(body: bytes) -> pl.DataFrame:
    """The mapped facts of one company, columns of SCHEMA, unsorted.

    Where one filing states one period twice, the more precise of two roundings stays, else the later in the answer.
    Raises ValueError naming the column where the answer is not of SEC's shape.
    """
    try:
        answer = _ANSWER.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(
            f"sec_edgar companyfacts: {error}; SEC's shape has changed or this is another answer"
        ) from error
    cik = int(answer.cik)
    facts: list[_Fact] = []
    labels: list[tuple[str, str, str, int]] = []
    for taxonomy, wanted in concept_map().wanted.items():
        stated = answer.facts.get(taxonomy, {})
        for concept in sorted(wanted.intersection(stated)):
            try:
                units = _CONCEPT.decode(stated[concept]).units
            except msgspec.ValidationError as error:
                raise ValueError(
                    f"sec_edgar companyfacts of CIK {cik}: {taxonomy}:{concept}: {error}; SEC's shape has changed"
                ) from error
            for unit, rows in units.items():
                labels.append((taxonomy, concept, unit, len(rows)))
                facts += rows
    return _frame(cik, labels, facts)


def with_known_at(facts: pl.DataFrame, filings: pl.DataFrame) -> pl.DataFrame:
    """Facts (columns of SCHEMA, others kept) with known_at (UTC) of their filing: its acceptance, else 22:00 New York.

    filings: accession_no, cik, known_at, others ignored; one row an accession number and company.
    """
    known = filings.select("cik", "accession_no", "known_at").unique(["cik", "accession_no"], keep="first")
    return facts.join(known, on=["cik", "accession_no"], how="left", maintain_order="left").with_columns(
        pl.col("known_at").fill_null(known_without_acceptance(pl.col("filed_on")))
    )


def _frame(cik: int, labels: list[tuple[str, str, str, int]], facts: list[_Fact]) -> pl.DataFrame:
    lengths = pl.Series([n for *_, n in labels], dtype=pl.UInt32)
    header = pl.DataFrame(
        {
            "taxonomy": [label[0] for label in labels],
            "concept": [label[1] for label in labels],
            "unit": [label[2] for label in labels],
        },
        schema={"taxonomy": pl.String, "concept": pl.String, "unit": pl.String},
    ).select(pl.all().repeat_by(lengths).explode() if labels else pl.all())
    frame = header.with_columns(
        pl.Series("period_start", [f.start for f in facts], dtype=pl.String),
        pl.Series("period_end", [f.end for f in facts], dtype=pl.String),
        pl.Series("accession_no", [f.accn for f in facts], dtype=pl.String),
        pl.Series("value", [f.val for f in facts], dtype=pl.Float64),
        pl.Series("form", [f.form for f in facts], dtype=pl.String),
        pl.Series("filed_on", [f.filed for f in facts], dtype=pl.String),
    )
    try:
        frame = frame.with_columns(pl.col("period_start", "period_end", "filed_on").str.to_date("%Y-%m-%d"))
    except pl.exceptions.InvalidOperationError as error:
        raise ValueError(f"sec_edgar companyfacts of CIK {cik}: start, end or filed: {error}") from error
    frame = frame.filter(pl.col("value").is_finite()).select(
        pl.lit(cik, dtype=pl.Int64).alias("cik"), *[pl.col(name) for name in SCHEMA if name != "cik"]
    )
    if not frame.select(KEY).is_duplicated().any():
        return frame
    # trailing zeros tell a rounding: 1,235,000 stands for 1,234,567
    zeros = pl.col("value").abs().cast(pl.String).str.replace(r"\.0$", "").str.extract(r"(0*)$", 1).str.len_bytes()
    return (
        frame.with_row_index("row")
        .with_columns(zeros.alias("zeros"))
        .sort("zeros", "row", descending=[False, True])
        .unique(KEY, keep="first", maintain_order=True)
        .sort("row")
        .drop("row", "zeros")
    )
