"""SEC `submissions` answers -> the filings of a company, with the moment each became known.

In: the JSON of data.sec.gov/submissions/CIK##########.json (columns under filings.recent, older pages named under
filings.files), one of those pages (bare columns), or a history whose pages were merged in before. Out: `Submissions`.
Source: SEC, "EDGAR Application Programming Interfaces"; EDGAR Filer Manual vol. I, filing hours and filing dates.

EDGAR accepts from 06:00 to 22:00 New York time. A filing accepted after 17:30 is dated the next business day, an
ownership form (3, 4, 5) after 22:00. `acceptanceDateTime` always ends in Z but is New York time in some answers
(0000320193-24-000123 is 06:01:36Z in one recording, 10:01:36Z in another): a company's answers of one day, its pages
among them, are read both ways together (`read_together`), and the reading that breaks these rules less often is taken;
New York, the later one, where they tie: nothing may seem known before it was. Midnight, which stands in filings until
May 2002, is no time but a date (EDGAR is closed then).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time

import msgspec
import polars as pl

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "accession_no": pl.String,
    "cik": pl.Int64,
    "form": pl.String,
    "filed_on": pl.Date,
    "known_at": pl.Datetime("us", "UTC"),
    "known_at_source": pl.String,
    "report_date": pl.Date,
}
"""known_at_source: acceptance_utc, acceptance_new_york, filed_on_22 (no acceptance time: 22:00 New York that day)."""

NEW_YORK = "America/New_York"
OPENS, CUTOFF, OWNERSHIP_CUTOFF = 6 * 3600, 17 * 3600 + 30 * 60, 22 * 3600
DATED_FORMS = r"^(10-K|10-Q|8-K|20-F|40-F|6-K|3|4|5)"
OWNERSHIP_FORMS = r"^[345](/A)?$"


class Page(msgspec.Struct, frozen=True, rename={"filed_from": "filingFrom", "filed_to": "filingTo"}):
    """An older part of a history, asked for by its `name`; both days included."""

    name: str
    filed_from: date
    filed_to: date


@dataclass(frozen=True, kw_only=True)
class Submissions:
    """One company as EDGAR describes it today, its newest filings, and the pages that hold the older ones.

    filings: columns of SCHEMA, one row an accession number. fiscal_year_end: MMDD. tickers and exchanges align.
    sic, fiscal_year_end, state, entity_type are None where EDGAR has none.
    """

    cik: int
    name: str
    sic: int | None
    sic_description: str | None
    fiscal_year_end: str | None
    exchanges: tuple[str | None, ...]
    tickers: tuple[str, ...]
    entity_type: str | None
    state: str | None
    former_names: tuple[str, ...]
    filings: pl.DataFrame
    pages: tuple[Page, ...]


class _Columns(msgspec.Struct):
    accession: list[str] = msgspec.field(name="accessionNumber")
    filed: list[str] = msgspec.field(name="filingDate")
    report: list[str | None] = msgspec.field(name="reportDate")
    accepted: list[str | None] = msgspec.field(name="acceptanceDateTime")
    form: list[str]


class _Filings(msgspec.Struct):
    recent: _Columns
    files: list[Page] = []


class _FormerName(msgspec.Struct):
    name: str


class _Submissions(msgspec.Struct, rename="camel"):
    cik: int | str
    name: str
    filings: _Filings
    sic: int | str | None = None
    sic_description: str | None = None
    fiscal_year_end: str | None = None
    exchanges: list[str | None] | None = None
    tickers: list[str] | None = None
    entity_type: str | None = None
    state_of_incorporation: str | None = None
    former_names: list[_FormerName] | None = None


def parse_submissions(body: bytes) -> Submissions:
    """A company's history. Raises ValueError naming the column where the answer is not of its shape."""
    try:
        answer = msgspec.json.decode(body, type=_Submissions)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(
            f"sec_edgar submissions: {error}; SEC's shape has changed or this is another answer"
        ) from error
    cik = int(answer.cik)
    return Submissions(
        cik=cik,
        name=answer.name,
        sic=int(answer.sic) if answer.sic else None,
        sic_description=answer.sic_description or None,
        fiscal_year_end=answer.fiscal_year_end or None,
        exchanges=tuple(answer.exchanges or ()),
        tickers=tuple(answer.tickers or ()),
        entity_type=answer.entity_type or None,
        state=answer.state_of_incorporation or None,
        former_names=tuple(former.name for former in answer.former_names or ()),
        filings=_frame(answer.filings.recent, cik, "submissions"),
        pages=tuple(answer.filings.files),
    )


@dataclass(frozen=True, kw_only=True)
class OlderFilings:
    """One older page of a history; filings has the columns of SCHEMA."""

    cik: int
    filings: pl.DataFrame


def parse_page(body: bytes, *, cik: int) -> OlderFilings:
    """An older page of a company's history; raises ValueError naming the column."""
    try:
        columns = msgspec.json.decode(body, type=_Columns)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"sec_edgar submissions_page of CIK {cik}: {error}; SEC's shape has changed") from error
    return OlderFilings(cik=cik, filings=_frame(columns, cik, "submissions_page"))


def known_without_acceptance(filed_on: pl.Expr) -> pl.Expr:
    """22:00 New York on the filing day, in UTC: EDGAR closes then, nothing of that day is accepted later."""
    return (
        filed_on.cast(pl.Datetime("us")).dt.offset_by("22h").dt.replace_time_zone(NEW_YORK).dt.convert_time_zone("UTC")
    )


def _frame(columns: _Columns, cik: int, endpoint: str) -> pl.DataFrame:
    lengths = {name: len(getattr(columns, name)) for name in columns.__struct_fields__}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"sec_edgar {endpoint} of CIK {cik}: columns of different length {lengths}; fetch it again")
    raw = pl.DataFrame(
        {
            "accession_no": columns.accession,
            "form": columns.form,
            "filed_on": columns.filed,
            "report_date": columns.report,
            "accepted": columns.accepted,
        },
        schema=dict.fromkeys(("accession_no", "form", "filed_on", "report_date", "accepted"), pl.String),
    )
    try:
        dated = raw.with_columns(
            pl.col("filed_on").str.to_date("%Y-%m-%d"),
            pl.col("report_date").replace("", None).str.to_date("%Y-%m-%d"),
            # the instant as written, its Z not yet believed
            pl.col("accepted").replace("", None).str.head(19).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us"),
        ).with_columns(pl.when(~_is_midnight(pl.col("accepted"))).then("accepted").alias("accepted"))
    except pl.exceptions.InvalidOperationError as error:
        raise ValueError(
            f"sec_edgar {endpoint} of CIK {cik}: filingDate, reportDate or acceptanceDateTime: {error}"
        ) from error
    return (
        read_together(
            dated.with_columns(
                pl.lit(cik, dtype=pl.Int64).alias("cik"),
                pl.coalesce(
                    pl.col("accepted").dt.replace_time_zone("UTC"), known_without_acceptance(pl.col("filed_on"))
                ).alias("known_at"),
                pl.when(pl.col("accepted").is_null())
                .then(pl.lit("filed_on_22"))
                .otherwise(pl.lit("acceptance_utc"))
                .alias("known_at_source"),
            )
        )
        .unique("accession_no", keep="first", maintain_order=True)
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    )


def read_together(filings: pl.DataFrame, by: tuple[str, ...] = ("cik",)) -> pl.DataFrame:
    """Filings (columns of SCHEMA, others kept) with known_at as those of one `by` read together say.

    A page of few filings may break no rule either way; beside its company's others it is read as they are.
    """
    source = pl.col("known_at_source")
    written = (
        pl.when(source == "acceptance_new_york")
        .then(pl.col("known_at").dt.convert_time_zone(NEW_YORK).dt.replace_time_zone(None))
        .when(source == "acceptance_utc")
        .then(pl.col("known_at").dt.replace_time_zone(None))
    )
    as_utc, as_new_york = pl.col("as_utc"), pl.col("as_new_york")
    return (
        filings.with_columns(written.alias("written"))
        .with_columns(
            pl.col("written").dt.replace_time_zone("UTC").alias("as_utc"),
            pl.col("written")
            .dt.replace_time_zone(NEW_YORK, ambiguous="earliest", non_existent="null")
            .dt.convert_time_zone("UTC")
            .alias("as_new_york"),
        )
        .with_columns((_rule_breaks(as_utc).over(by) < _rule_breaks(as_new_york).over(by)).alias("is_utc"))
        .with_columns(pl.when("is_utc").then(as_utc).otherwise(as_new_york).alias("read"))
        .with_columns(pl.when(~_is_midnight(pl.col("read").dt.convert_time_zone(NEW_YORK))).then("read").alias("read"))
        .with_columns(
            pl.coalesce("read", known_without_acceptance(pl.col("filed_on"))).alias("known_at"),
            pl.when(pl.col("read").is_null())
            .then(pl.lit("filed_on_22"))
            .otherwise(pl.when("is_utc").then(pl.lit("acceptance_utc")).otherwise(pl.lit("acceptance_new_york")))
            .alias("known_at_source"),
        )
        .drop("written", "as_utc", "as_new_york", "is_utc", "read")
    )


def _is_midnight(moment: pl.Expr) -> pl.Expr:
    return moment.dt.time() == time(0)


def _rule_breaks(accepted: pl.Expr) -> pl.Expr:
    """How many filings break EDGAR's hours and dates, were this their moment of acceptance (UTC)."""
    local = accepted.dt.convert_time_zone(NEW_YORK)
    seconds = (
        local.dt.hour().cast(pl.Int32) * 3600 + local.dt.minute().cast(pl.Int32) * 60 + local.dt.second().cast(pl.Int32)
    )
    cutoff = pl.when(pl.col("form").str.contains(OWNERSHIP_FORMS)).then(OWNERSHIP_CUTOFF).otherwise(CUTOFF)
    late = seconds > cutoff
    dated_wrongly = (
        pl.when(late).then(pl.col("filed_on") <= local.dt.date()).otherwise(pl.col("filed_on") != local.dt.date())
    )
    closed = (seconds < OPENS) | (seconds > OWNERSHIP_CUTOFF + 60)
    return (pl.col("form").str.contains(DATED_FORMS) & (dated_wrongly | closed)).fill_null(False).sum()
