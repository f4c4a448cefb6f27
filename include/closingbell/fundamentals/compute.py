"""Facts of every filing -> statement rows (Q, FY, TTM) as they were known on each filing day.

In: facts as `parse.companyfacts` and `parse.with_known_at` make them, of any number of companies. Out: a frame of
SCHEMA, the rows of closingbell.financials without lineage. Everything is done set-wise over all companies at once.

A row is a period as one filing day knew it: every value of a version comes from filings of that day or before, and a
new version stands only where a value changed. So the view at any moment is, for each period, its last version.

How a figure is found (1 and 2: observations.py; 3 and 4: versions.py and events.py; 5: trailing.py):
1. A filing's statements are in the currency that most of its amounts have; other amounts (translations for the
   reader's convenience) are dropped. Versions of a period in another currency start afresh.
2. Periods are dates alone. A quarter lasts 80 to 100 days (52/53-week years), a year 350 to 380; twelve months told by
   a 10-Q are no year (utilities roll them). Ends up to six days apart are one end, named as first seen.
3. Quarters that are not stated are differences of year-to-date amounts of one tag: six months less three, nine less
   six, the year less nine. Where one of the two was restated after the other was last filed, and the other not yet,
   the last consistent pair stays; a restatement counts from the day on which an amount to date beside its last quarter
   first told it, unsaid (events.py). Where the tag changed within the year, the item's amounts are subtracted until a
   pair of one tag is filed. Per-share figures and share counts are never subtracted, and a difference never replaces
   what was stated, but a fourth quarter told before both its year and its nine months were recast.
4. Of an item's tags each filing's own best counts (concepts.toml); between filings the newest. No restatement, but a
   slip that changes nothing, is an amount with its sign turned or its thousands forgotten, or a neighbouring period's,
   until more filings say so than not, an amendment counted twice (events.py: turned, unscaled, misdated); net income
   and earnings a share that differ by the sign alone are losses (observations.py).
5. TTM is the year where one ends; else four adjoining quarters, or the year to date and the rest of the year before
   (by rule 3: the year less the same months) where a later filing tells that rest than one of its quarters, as after a
   restated year, or the first report of the year to date shows that its quarters no longer add up to it. TTM earnings
   per share: the year's, else the sum of four stated quarters on one split basis, else null (a fourth quarter's is
   hardly ever stated, and a per-share figure is not to be had by subtraction).
6. What contradicts the rest of its row is dropped (versions.py: _plausible).

Per-share figures and share counts are as filed: on the split basis of eps_filed_on and shares_filed_on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import numpy as np
import polars as pl

from closingbell.fundamentals.events import Events
from closingbell.fundamentals.observations import encoded, observed, odd_durations
from closingbell.fundamentals.trailing import SOURCES, trailing
from closingbell.fundamentals.versions import FIGURES, Versions, events_of, versions_of

RATIOS = (
    "gross_margin", "operating_margin", "net_margin", "roe", "roa", "roic", "debt_to_equity", "current_ratio",
    "quick_ratio", "interest_coverage",
)  # fmt: skip
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "cik": pl.Int64,
    "period_end": pl.Date,
    "period_type": pl.String,
    "known_on": pl.Date,
    "known_at": pl.Datetime("us", "UTC"),
    "period_start": pl.Date,
    "fiscal_year": pl.Int32,
    "fiscal_quarter": pl.Int32,
    "currency": pl.String,
    "accession_no": pl.String,
    "source_accession_nos": pl.List(pl.String),
    "eps_filed_on": pl.Date,
    "shares_filed_on": pl.Date,
    **dict.fromkeys(FIGURES + RATIOS, pl.Float64),
}

STALE_AFTER_DAYS = 200
"""Age of a quarter, from its end, beyond which it should score nothing: a third quarter stays the newest until the
annual report, due 90 days and 15 of grace after a year end 92 days later (197). SunEdison's last quarter, of
2015-09-30, stops scoring on 2016-04-18, three days before it went bankrupt."""

STALE_YEAR_AFTER_DAYS = 500
"""The same for companies that report by the year only: 366 days, four months for a 20-F, and grace."""

QUARTER_GAP_DAYS = 120
"""A company whose two newest period ends lie no further apart than this reports by the quarter."""


def statements(
    facts: pl.DataFrame, year_ends: Mapping[int, str | None] | None = None, *, since: date | None = None
) -> pl.DataFrame:
    """Statement rows of SCHEMA, sorted by its key (cik, period_end, period_type, known_on).

    facts: cik, taxonomy, concept, unit, period_start, period_end, accession_no, value, form, filed_on, known_at.
    year_ends: fiscal-year end MMDD by cik as EDGAR has it today; it only labels periods that no year-to-date amount
    places in a year (the facts go first: companies change their year). since: drop periods that ended before.
    """
    accession_nos = facts["accession_no"].unique().sort()
    coded = encoded(facts, accession_nos)
    seen, odd = observed(coded), odd_durations(coded)
    del coded  # large
    if seen.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    told = events_of(seen)
    versions = versions_of(told)
    rows = pl.concat(
        [
            versions.frame.filter(pl.col("span").is_in(["Q", "Y"])).with_columns(
                pl.col("span").cast(pl.String).replace({"Y": "FY"}).alias("period_type")
            ),
            trailing(versions, told.ends),
        ],
        how="diagonal_relaxed",
    ).filter(
        pl.any_horizontal(pl.col("revenue", "net_income", "operating_cash_flow").is_not_null())
        | ((pl.col("period_type") == "Q") & pl.col("total_assets").is_not_null())
    )
    rows = _with_ratios(rows)
    if since:
        rows = rows.filter(pl.col("end") >= since)
    rows = _changed(rows, ["cik", "end", "period_type"], [*FIGURES, *RATIOS, "currency"])
    durations = seen.filter(pl.col("kind") != "instant").select("cik", "end", "day", "days", odd=pl.lit(False))
    rows = _with_fiscal_labels(rows, pl.concat([durations, odd]), year_ends or {})
    return (
        rows.with_columns(_sources(rows, versions, told.events, accession_nos), accession_nos.gather(rows["accession"]))
        .rename({"end": "period_end", "day": "known_on", "start": "period_start"})
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        .sort("cik", "period_end", "period_type", "known_on")
    )


def as_of(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """The version of each period that was known at `moment` (aware)."""
    return (
        rows.filter(pl.col("known_at") <= moment)
        .sort("cik", "period_end", "period_type", "known_at", "known_on")
        .unique(["cik", "period_end", "period_type"], keep="last", maintain_order=True)
    )


def _sources(rows: pl.DataFrame, versions: Versions, made: Events, accession_nos: pl.Series) -> pl.Series:
    """By row the sorted accession numbers of the filings that its figures come from."""
    found = []
    for column in ("version", *SOURCES):
        version = rows[column].fill_null(-1).to_numpy()
        at = np.flatnonzero(version >= 0)
        of = versions.made_of[version[at]]
        which, item = np.nonzero(of >= 0)
        event, row = of[which, item], at[which]
        found += [(row << 32) | made.source[event], ((row << 32) | made.less[event])[made.less[event] >= 0]]
    pairs = np.unique(np.concatenate(found))
    return (
        pl.DataFrame({"row": pairs >> 32, "accession_no": accession_nos.gather(pairs & 0xFFFFFFFF)})
        .group_by("row", maintain_order=True)
        .agg("accession_no")["accession_no"]
        .alias("source_accession_nos")
    )


def _with_ratios(rows: pl.DataFrame) -> pl.DataFrame:
    """Ratios of each row's own figures: TTM and FY rows on twelve months, Q rows on the quarter (not annualised).

    Balances are the row's end's. Null where an input is missing or a base is not positive: revenue, assets, equity (a
    deficit makes no return or leverage), current liabilities, interest. roic = operating income x (1 - tax rate) /
    (short- and long-term debt + equity - cash); the tax rate is income tax / pretax income, within 0 and 1/2, 0 on a
    loss. Debt is what is known of short- and long-term debt, null where neither is.
    """

    def over(numerator: pl.Expr, base: pl.Expr) -> pl.Expr:
        return pl.when(base > 0).then(numerator / base)

    c = pl.col
    known_debt = c("short_term_debt").is_not_null() | c("long_term_debt").is_not_null()
    debt = pl.when(known_debt).then(pl.sum_horizontal("short_term_debt", "long_term_debt"))
    tax_rate = (
        pl.when(c("pretax_income") > 0)
        .then((c("income_tax") / c("pretax_income")).clip(0, 0.5))
        .otherwise(pl.when(c("pretax_income").is_not_null()).then(0.0))
    )
    return rows.with_columns(
        over(c("gross_profit"), c("revenue")).alias("gross_margin"),
        over(c("operating_income"), c("revenue")).alias("operating_margin"),
        over(c("net_income"), c("revenue")).alias("net_margin"),
        over(c("net_income"), c("shareholders_equity")).alias("roe"),
        over(c("net_income"), c("total_assets")).alias("roa"),
        over(c("operating_income") * (1 - tax_rate), debt + c("shareholders_equity") - c("cash_and_equivalents")).alias(
            "roic"
        ),
        over(debt, c("shareholders_equity")).alias("debt_to_equity"),
        over(c("current_assets"), c("current_liabilities")).alias("current_ratio"),
        over(c("current_assets") - c("inventory"), c("current_liabilities")).alias("quick_ratio"),
        over(c("operating_income"), c("interest_expense")).alias("interest_coverage"),
    )


def _changed(rows: pl.DataFrame, period: list[str], values: list[str]) -> pl.DataFrame:
    """Rows that differ from the version before, sorted by period and day."""
    rows = rows.sort(*period, "day")
    same_period = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in period)
    same_values = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in values)
    return rows.filter((same_period & same_values).fill_null(False).not_())


def _with_fiscal_labels(
    rows: pl.DataFrame, durations: pl.DataFrame, year_ends: Mapping[int, str | None]
) -> pl.DataFrame:
    """fiscal_year: the calendar year in which the fiscal year ends (its first week: the one before). fiscal_quarter.

    A period's longest amount from the year's start tells its quarter (six months: the second). Seven months do not:
    they begin with a company or its fresh start, and the year end given counts.
    """
    longest = (
        durations.group_by("cik", "end", "day", "odd")
        .agg(pl.col("days").max())
        .sort("cik", "end", "day", "days", "odd")
        .with_columns(pl.col("days").cum_max().over("cik", "end").alias("most"))
        .with_columns(pl.when(pl.col("days") == pl.col("most")).then("odd").forward_fill().over("cik", "end"))
        .unique(["cik", "end", "day"], keep="last", maintain_order=True)
        .select("cik", "end", "day", "odd", days="most")
        .sort("day")
    )
    rows = rows.sort("day").join_asof(longest, on="day", by=["cik", "end"], check_sortedness=False)
    given = pl.DataFrame(
        [(cik, int(end[:2])) for cik, end in year_ends.items() if end and len(end) == 4 and end.isdigit()],
        schema={"cik": pl.Int64, "last_month": pl.Int32},
        orient="row",
    )
    rows = rows.join(given, on="cik", how="left", maintain_order="left")
    month = pl.col("end").dt.offset_by("-7d").dt.month().cast(pl.Int32)
    by_given = 4 - ((pl.col("last_month") - month) % 12) // 3
    by_days = (pl.col("days") / 91.31).round().cast(pl.Int32)
    quarter = pl.coalesce(pl.when("odd").then(by_given), by_days, by_given)
    year_end = pl.col("end") + pl.duration(days=((4 - quarter) * 91.31).round())
    return rows.with_columns(
        (year_end - pl.duration(days=7)).dt.year().alias("fiscal_year"),
        pl.when(pl.col("period_type") != "FY").then(quarter).alias("fiscal_quarter"),
    )
