"""Facts of every filing -> statement rows (Q, FY, TTM) as they were known on each filing day.

In: facts as `parse.companyfacts` and `parse.with_known_at` make them, of any number of companies. Out: a frame of
SCHEMA, the rows of closingbell.financials without lineage. Everything is done set-wise over all companies at once.

A row is a period as one filing day knew it: every value of a version comes from filings of that day or before, and a
new version stands only where a value changed. So the view at any moment is, for each period, its last version.

How a figure is found:
1. A filing's statements are in the currency that most of its amounts have; other amounts (translations for the
   reader's convenience) are dropped. Versions of a period in another currency start afresh.
2. Periods are dates alone. A quarter lasts 80 to 100 days, a year 350 to 380; twelve months that end inside a fiscal
   year (utilities' 10-Qs) are no year. Ends up to six days apart are one end, named as first seen.
3. Quarters that are not stated are differences of year-to-date amounts of one tag: six months less three, nine less
   six, the year less nine. Where one of the two was restated after the other was last filed, and the other not yet,
   the last consistent pair stays. Where the tag changed within the year, the item's amounts are subtracted until a
   pair of one tag is filed. Per-share figures and share counts are never subtracted.
4. Of an item's tags each filing's own best counts (concepts.toml); between filings the newest.
5. TTM is the year where one ends; else four adjoining quarters; else year + year to date - year to date before.
   TTM earnings per share: the year's, else the sum of four stated quarters on one split basis, else null (a fourth
   quarter's is hardly ever stated, and a per-share figure is not to be had by subtraction).

Per-share figures and share counts are as filed: on the split basis of eps_filed_on and shares_filed_on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from closingbell.fundamentals import events
from closingbell.fundamentals.concepts import Term, concept_map
from closingbell.fundamentals.events import (
    Ends,
    Events,
    Ints,
    dates,
    day_numbers,
    decided,
    last,
    new,
    with_balances,
)

FLOWS = (
    "revenue", "cost_of_revenue", "gross_profit", "operating_expenses", "operating_income", "interest_expense",
    "net_income", "operating_cash_flow", "investing_cash_flow", "financing_cash_flow", "capex", "free_cash_flow",
    "dividends_paid",
)  # fmt: skip
PER_SHARE = ("eps_basic", "eps_diluted")
BALANCES = (
    "shares_outstanding", "total_assets", "total_liabilities", "current_assets", "current_liabilities", "inventory",
    "shareholders_equity", "cash_and_equivalents", "short_term_debt", "long_term_debt",
)  # fmt: skip
FIGURES = (
    "revenue", "cost_of_revenue", "gross_profit", "operating_expenses", "operating_income", "interest_expense",
    "net_income", "eps_basic", "eps_diluted", "shares_outstanding", "total_assets", "total_liabilities",
    "current_assets", "current_liabilities", "inventory", "shareholders_equity", "cash_and_equivalents",
    "short_term_debt", "long_term_debt", "operating_cash_flow", "investing_cash_flow", "financing_cash_flow", "capex",
    "free_cash_flow", "dividends_paid",
)  # fmt: skip
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

STATEMENT_FORMS = r"^(10-K|10-Q|20-F|40-F|6-K|8-K|S-1|S-4|S-11|F-1|F-4|10-12)"
"""Forms that carry statements; a proxy's pay table repeats net income, rounded."""

INTERIM_FORMS = r"^(10-Q|6-K)"
LENGTHS = {
    "Q": ((80, 100), (111, 113), (118, 119)),  # and of 16 or 17 weeks: Costco's last, Kroger's first quarter
    "H": ((165, 198),),  # 24 weeks to 28
    "N": ((250, 289),),  # 36 weeks to 41
    "Y": ((350, 380),),
}
"""Days of a quarter, of two, of three, and of a year. A transition period of another length is none of them."""

FIRST_DAY = date(1900, 1, 1)
NEAR_DAYS = 6
ROW = ["cik", "currency", "span", "end"]
_TAX = ("pretax_income", "income_tax")
_VALUES = (*FIGURES, *_TAX, "shares_average_diluted")


def statements(
    facts: pl.DataFrame, year_ends: Mapping[int, str | None] | None = None, *, since: date | None = None
) -> pl.DataFrame:
    """Statement rows of SCHEMA, sorted by its key (cik, period_end, period_type, known_on).

    facts: cik, taxonomy, concept, unit, period_start, period_end, accession_no, value, form, filed_on, known_at.
    year_ends: fiscal-year end MMDD by cik as EDGAR has it today; it only labels periods that no year-to-date amount
    places in a year (the facts go first: companies change their year). since: drop periods that ended before.
    """
    accession_nos = facts["accession_no"].unique().sort()
    seen = _observations(_encoded(facts, accession_nos))
    if seen.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    told = _events(seen)
    versions = _versions(told)
    rows = pl.concat(
        [
            versions.frame.filter(pl.col("span").is_in(["Q", "Y"])).with_columns(
                pl.col("span").cast(pl.String).replace({"Y": "FY"}).alias("period_type")
            ),
            _trailing(versions, told.ends),
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
    rows = _with_fiscal_labels(rows, seen.filter(pl.col("kind") != "instant"), year_ends or {})
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


# ---------------------------------------------------------------- what filings state


SPAN = pl.Enum([*LENGTHS, "I"])


def _encoded(facts: pl.DataFrame, accession_nos: pl.Series) -> pl.DataFrame:
    """Facts of statement forms with what their tags mean; texts as small integers in the same order (fast to sort)."""
    concepts = concept_map()
    items = pl.Enum(list(concepts.kinds))
    tags = concepts.tags.rename({"unit": "measure"}).with_columns(pl.col("item").cast(items))
    numbered = _numbered_tags()
    accessions = pl.DataFrame({"accession_no": accession_nos}).with_row_index("accession")
    return (
        facts.select(
            "cik", "taxonomy", "concept", "unit", "period_start", "period_end", "accession_no", "value", "form",
            "filed_on", "known_at",
        )
        .filter(pl.col("form").str.contains(STATEMENT_FORMS))
        .join(tags.join(numbered, on=["taxonomy", "concept"]), on=["taxonomy", "concept"])
        .join(accessions, on="accession_no")
        .with_columns(pl.col("form").str.contains(INTERIM_FORMS).alias("interim"))
        .drop("taxonomy", "concept", "accession_no", "form")
    )  # fmt: skip


def _observations(facts: pl.DataFrame) -> pl.DataFrame:
    """One row an item's tag, period and filing day: span (Q, H, N, Y; I for dates), start, end, value, accession."""
    seen = (
        facts.with_columns(
            pl.when(pl.col("measure") != "shares")
            .then(pl.col("unit").str.extract(r"^([A-Z]{3})(?:/shares)?$"))
            .alias("money"),
            ((pl.col("period_end") - pl.col("period_start")).dt.total_days() + 1).alias("days"),
            pl.when("absolute").then(pl.col("value").abs()).otherwise("value").alias("value"),
        )
        .filter(
            pl.when(pl.col("measure") == "money")
            .then(pl.col("unit").str.len_bytes() == 3)
            .when(pl.col("measure") == "shares")
            .then(pl.col("unit") == "shares")
            .otherwise(pl.col("unit").str.ends_with("/shares")),
            (pl.col("period_start").is_null() == pl.col("kind").is_in(["instant", "cover"])),
            pl.col("period_end").is_between(FIRST_DAY, "filed_on"),
        )
        .rename({"filed_on": "day", "period_end": "end", "period_start": "start"})
    )
    currencies = (
        seen.drop_nulls("money")
        .group_by("cik", "day", "money")
        .len()
        .sort("cik", "day", "len", "money", descending=[False, False, True, False])
        .unique(["cik", "day"], keep="first", maintain_order=True)
        .select("cik", "day", currency="money")
    )
    span: Any = pl.when(pl.col("days").is_null()).then(pl.lit("I"))
    for name in LENGTHS:
        span = span.when(_lasts(pl.col("days"), name)).then(pl.lit(name))
    seen = (
        seen.join(currencies, on=["cik", "day"])
        .filter(pl.col("money").is_null() | (pl.col("money") == pl.col("currency")))
        .with_columns(span.cast(SPAN).alias("span"))
        .filter(pl.col("span").is_not_null())
    )
    names = pl.Enum(seen["currency"].unique().sort())
    seen = seen.with_columns(pl.col("currency").cast(names))
    return _of_report(_years_only(_snapped(_without_part_tags(_in_order_of_knowledge(seen)))))


def _lasts(days: pl.Expr, span: str) -> pl.Expr:
    return pl.any_horizontal(days.is_between(low, high) for low, high in LENGTHS[span])


def _in_order_of_knowledge(seen: pl.DataFrame) -> pl.DataFrame:
    # a filing without acceptance time may seem known after one of a later day that builds on it
    days = (
        seen.group_by("cik", "day")
        .agg(pl.col("known_at").max().alias("latest"))
        .sort("cik", "day")
        .with_columns(pl.col("latest").cum_max().shift(1).over("cik").alias("before"))
    )
    return seen.join(days.select("cik", "day", "before"), on=["cik", "day"]).with_columns(
        pl.max_horizontal("known_at", "before").alias("known_at")
    )


def _without_part_tags(seen: pl.DataFrame) -> pl.DataFrame:
    """Without tags that a filing shows to be parts, in any of its periods, of what they should be the total of."""
    filing, period = ["cik", "day", "accession"], ["start", "end"]
    for tag, other in _not_below():
        totals, others = (seen.filter(pl.col("tag") == number) for number in (tag, other))
        parts = (
            totals.join(others, on=[*filing, *period], suffix="_other")
            .filter(pl.col("value") < 0.995 * pl.col("value_other"))
            .select(*filing, "tag")
            .unique()
        )
        seen = seen.join(parts, on=[*filing, "tag"], how="anti")
    return seen


def _snapped(seen: pl.DataFrame) -> pl.DataFrame:
    """Ends at most NEAR_DAYS apart brought to the one seen first (of one day: stated most often); starts likewise."""
    first_seen = ["day", "stated", "end"]
    ends = (
        seen.filter((pl.col("span") != "I") | (pl.col("item") == "assets"))
        .group_by("cik", "end", "day")
        .len("stated")
        .sort("cik", "end", "day")
        .unique(["cik", "end"], keep="first", maintain_order=True)
    )
    apart = (pl.col("end").diff().over("cik").dt.total_days() <= NEAR_DAYS).fill_null(False)
    near = ends.filter(apart | apart.shift(-1, fill_value=False))
    moved = (
        near.rename({name: f"{name}_of" for name in first_seen})
        .join(near, on="cik")
        .filter((pl.col("end") - pl.col("end_of")).dt.total_days().abs() <= NEAR_DAYS)
        .sort("cik", "end_of", *first_seen, descending=[False, False, False, True, False])
        .unique(["cik", "end_of"], keep="first", maintain_order=True)
        .filter(pl.col("end") != pl.col("end_of"))
        .select("cik", end="end_of", end_to="end")
    )
    begun = _snapped_starts(seen, ends.join(moved, on=["cik", "end"], how="left"), near)
    # balances of the day after a known end are openings under new accounting rules, not that end's balances
    return (
        seen.join(moved, on=["cik", "end"], how="left")
        .join(begun, on=["cik", "start"], how="left")
        .filter(
            ((pl.col("span") == "I") & (pl.col("end_to") == pl.col("end").dt.offset_by("-1d"))).fill_null(False).not_()
        )
        .with_columns(
            pl.coalesce("end_to", "end").alias("end"),
            pl.when(pl.col("since") <= pl.col("day")).then("start_to").otherwise("start").alias("start"),
        )
        .drop("end_to", "start_to", "since")
    )


def _snapped_starts(seen: pl.DataFrame, ends: pl.DataFrame, near: pl.DataFrame) -> pl.DataFrame:
    """cik, start -> start_to, the day after the end that was seen first at most NEAR_DAYS from its eve; since when."""
    eves = seen.select("cik", pl.col("start").dt.offset_by("-1d").alias("eve")).drop_nulls().unique()
    alone = ends.join(near, on=["cik", "end"], how="anti").select("cik", eve="end")  # nearly all begin after such a one
    offsets = pl.DataFrame({"offset": range(-NEAR_DAYS, NEAR_DAYS + 1)})
    return (
        eves.join(alone, on=["cik", "eve"], how="anti")
        .join(offsets, how="cross")
        .with_columns(end=pl.col("eve") + pl.duration(days="offset"))
        .join(ends, on=["cik", "end"])
        .sort("cik", "eve", "day", "stated", "end", descending=[False, False, False, True, False])
        .unique(["cik", "eve"], keep="first", maintain_order=True)
        .with_columns(pl.coalesce("end_to", "end").alias("end"))
        .filter(pl.col("end") != pl.col("eve"))
        .select("cik", start=pl.col("eve").dt.offset_by("1d"), start_to=pl.col("end").dt.offset_by("1d"), since="day")
    )


def _years_only(seen: pl.DataFrame) -> pl.DataFrame:
    """Without twelve months of interim reports that end where no year is known to end."""
    interim = pl.col("interim")
    year_ends = (
        seen.filter((pl.col("span") == "Y") & ~interim)
        .group_by("cik", "end")
        .agg(pl.col("day").min().alias("year_known"))
    )
    return (
        seen.join(year_ends, on=["cik", "end"], how="left")
        .filter((pl.col("span") != "Y") | ~interim | (pl.col("year_known") <= pl.col("day")))
        .drop("year_known")
    )


def _of_report(seen: pl.DataFrame) -> pl.DataFrame:
    """Cover-page counts moved to the end of the report's period; one observation a tag, period and filing day."""
    reports = (
        seen.filter((pl.col("span") != "I") | (pl.col("item") == "assets"))
        .group_by("cik", "day", "accession")
        .agg(pl.col("end").max().alias("report_end"))
    )
    return (
        seen.join(reports, on=["cik", "day", "accession"], how="left")
        .with_columns(pl.col("end").alias("stated_end"))
        .with_columns(
            pl.when(pl.col("kind") == "cover").then("report_end").otherwise("end").alias("end"),
            pl.when(pl.col("kind") == "cover").then(pl.lit("instant")).otherwise("kind").alias("kind"),
        )
        .filter(pl.col("end").is_not_null())
        .select(
            *ROW, "item", "kind", "tag", "rank", "day", "start", "stated_end", "days", "value", "accession", "known_at"
        )
    )


# ---------------------------------------------------------------- which filing's word counts


@dataclass(frozen=True)
class _Told:
    """Events of every row, and what an end number stands for: cik, currency, end of each."""

    events: Events
    ends: Ends
    names: pl.DataFrame


def _events(seen: pl.DataFrame) -> _Told:
    """What each row's items are from each day on (see events.py)."""
    end = day_numbers(seen["end"])
    company = seen["cik"].rank("dense").cast(pl.Int64).to_numpy() << 8 | seen["currency"].to_physical().to_numpy()
    codes, one, number = np.unique(company * events.DAYS + end, return_index=True, return_inverse=True)
    ends = Ends(company=codes // events.DAYS, day=codes % events.DAYS)
    stated = Events(
        row=number * events.SPANS + seen["span"].to_physical().to_numpy(),
        code=_integers(seen["tag"]),
        rank=_integers(seen["rank"]),
        day=day_numbers(seen["day"]),
        start=day_numbers(seen["start"]),
        value=seen["value"].to_numpy(),
        source=_integers(seen["accession"]),
        less=np.full(seen.height, -1, dtype=np.int64),
        accession=_integers(seen["accession"]),
        known=_integers(seen["known_at"]),
    )
    items = _integers(seen["item"])
    # one filing day's last word, where several filings or dates of a cover give one
    key = ((stated.row * events.ITEMS + items) * events.TAGS + stated.code) * events.DAYS + stated.day
    stated_end, days = day_numbers(seen["stated_end"]), seen["days"].fill_null(0).to_numpy()
    order = np.argsort(key, kind="stable")
    if not new(key[order]).all():
        order = np.lexsort((days, stated_end, stated.accession, stated.known, key))
        order = order[last(key[order])]
    kinds = concept_map().kinds.values()
    lengths = np.zeros(1 << 9, dtype=np.bool_)
    for low, high in LENGTHS["Q"]:
        lengths[low : high + 1] = True
    told = decided(stated.take(order), items[order], np.array([kind == "flow" for kind in kinds]), ends, lengths)
    told = with_balances(told)
    told = told.take(np.argsort((told.row * events.ITEMS + told.code) * events.DAYS + told.day, kind="stable"))
    return _Told(told, ends, seen.select("cik", "currency", "end")[one])


def _integers(column: pl.Series) -> Ints:
    return column.to_physical().cast(pl.Int64).to_numpy()


# ---------------------------------------------------------------- rows and their versions


@dataclass(frozen=True)
class _Versions:
    """frame: ROW and day -> all figures as known that day, start, known_at, accession, *_filed_on, version (a number),
    sorted by `row` and day. made_of: by version and item the event, -1 for none."""

    frame: pl.DataFrame
    row: Ints
    day: Ints
    made_of: npt.NDArray[np.int32]


def _versions(told: _Told) -> _Versions:
    made = told.events
    items = list(concept_map().kinds)
    when = made.row * events.DAYS + made.day
    versions, of = np.unique(when, return_inverse=True)
    row, day = versions // events.DAYS, versions % events.DAYS
    made_of = np.full((len(versions), len(items)), -1, dtype=np.int32)
    made_of[of, made.code] = np.arange(len(made))
    np.maximum.accumulate(made_of, axis=0, out=made_of)
    first_of_row = np.searchsorted(made.row, row)  # events are sorted by row: smaller numbers are another row's
    made_of[made_of < first_of_row[:, None]] = -1

    order = np.lexsort((made.start, made.accession, made.known, of))
    newest = order[last(of[order])]
    start = np.zeros(len(versions), dtype=np.int64)
    np.maximum.at(start, of, made.start)
    stated = events.latest(start > 0, new(row))
    start = np.where(stated >= 0, start[stated], 0)

    value, filed = np.append(made.value, np.nan), np.append(made.day, 0)
    known = told.names[row // events.SPANS].with_columns(
        pl.Series("span", SPAN.categories, dtype=SPAN).gather(row % events.SPANS),
        dates(day).alias("day"),
        pl.Series("known_at", made.known[newest]).cast(pl.Datetime("us", "UTC")),
        pl.Series("accession", made.accession[newest]),
        dates(start).alias("start"),
        pl.Series("version", np.arange(len(versions), dtype=np.int32)),
        *[pl.Series(item, value[made_of[:, at]], nan_to_null=True) for at, item in enumerate(items)],
        *[
            dates(filed[made_of[:, at]]).alias(f"{item}_day")
            for at, item in enumerate(items)
            if item.startswith(("eps_", "shares_"))
        ],
    )
    frame = (
        _with_figures(_plausible(known))
        .with_columns(
            pl.coalesce("eps_diluted_reported_day", "eps_basic_reported_day").alias("eps_filed_on"),
            _shares_filed_on().alias("shares_filed_on"),
        )
        .select(*ROW, "day", *_VALUES, "eps_filed_on", "shares_filed_on", "version", "known_at", "accession", "start")
    )
    return _Versions(frame, row, day, made_of)


def _sources(rows: pl.DataFrame, versions: _Versions, made: Events, accession_nos: pl.Series) -> pl.Series:
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


def _not_below() -> list[tuple[int, int]]:
    """The pairs of ConceptMap.not_below by tag number."""
    number = {concept: tag for tag, concept in _numbered_tags().select("tag", "concept").iter_rows()}
    return [(number[tag], number[other]) for tag, other in concept_map().not_below]


def _numbered_tags() -> pl.DataFrame:
    return concept_map().tags.select("taxonomy", "concept").unique(maintain_order=True).with_row_index("tag")


def _plausible(known: pl.DataFrame) -> pl.DataFrame:
    """Items that contradict the statement they stand beside dropped.

    Costs of goods that are one of many costs: revenue less them would be no gross profit. McDonald's tags its own
    restaurants' costs so, beside those of franchised ones. They are parts where the company shows a total of all costs
    and no gross profit, and selling, administration and research explain too little of what lies between them and
    operating income. CostOfRevenue is everything by definition.
    A gross profit that leads to operating income less well than revenue less costs does (Costco's of merchandise).
    Other income that leaves something between pretax income and gross profit less running costs unexplained: pretax
    income less it and interest is operating income only where the two agree (Nike).
    Equity "with minority" that is far from the parent's: a part of it (Nike 2013: 274 million of 11 billion).
    """
    c = pl.col
    costs = pl.coalesce(c("cost_total"), _formula((Term("cost_of_goods", 1, True), Term("cost_of_services", 1, True))))
    running = pl.coalesce(c("selling_general"), c("selling").fill_null(0.0) + c("administration").fill_null(0.0)) + c(
        "research"
    ).fill_null(0.0)
    between = c("revenue_reported") - costs - c("operating_income_reported")
    part = (
        c("cost_by_definition").is_null()
        & c("gross_profit_reported").is_null()
        & ((between - running) > 0.25 * c("costs_and_expenses"))
    ).fill_null(False)
    reported_gap = (c("gross_profit_reported") - c("operating_income_reported") - running).abs()
    contradicted = (
        ((c("gross_profit_reported") - c("revenue_reported") + costs).abs() > 0.005 * c("revenue_reported"))
        & (running > 0)
        & ((between - running).abs() < reported_gap)
    ).fill_null(False)
    operating = c("pretax_income") - c("interest_net") - c("other_nonoperating")
    unexplained = ((c("gross_profit_reported") - running - operating).abs() <= 0.005 * c("revenue_reported")).fill_null(
        False
    ).not_() | (running <= 0).fill_null(True)
    astray = ((c("equity_with_minority") - c("equity_of_parent")).abs() > 0.25 * c("assets")).fill_null(False)
    dropped = {
        **dict.fromkeys(("cost_total", "cost_of_goods", "cost_of_services"), part),
        "gross_profit_reported": contradicted,
        "other_nonoperating": unexplained,
        "equity_with_minority": astray,
    }
    return known.with_columns(pl.when(~drop).then(c(name)).alias(name) for name, drop in dropped.items())


def _with_figures(known: pl.DataFrame) -> pl.DataFrame:
    for figure, formulas in concept_map().figures.items():
        known = known.with_columns(pl.coalesce(_formula(terms) for terms in formulas).alias(figure))
    return known


def _formula(terms: tuple[Term, ...]) -> pl.Expr:
    total = pl.sum_horizontal(
        pl.col(term.name).fill_null(0.0) * term.sign if term.optional else pl.col(term.name) * term.sign
        for term in terms
    )
    needed = [pl.col(term.name).is_not_null() for term in terms if not term.optional]
    some = pl.any_horizontal(pl.col(term.name).is_not_null() for term in terms)
    return pl.when(pl.all_horizontal(*needed, some)).then(total)


def _shares_filed_on() -> pl.Expr:
    day: Any = pl.when(False).then(pl.lit(None, dtype=pl.Date))
    for terms in concept_map().figures["shares_outstanding"]:
        day = day.when(_formula(terms).is_not_null()).then(pl.col(f"{terms[0].name}_day"))
    return day


def _trailing(versions: _Versions, ends: Ends) -> pl.DataFrame:
    """TTM rows: columns of `versions.frame` (for version SOURCES, the versions it is made of), and period_type."""
    stated = pl.Series(versions.row).to_frame("row").with_columns(versions.frame.select(*ROW, "start"))
    periods = stated.drop_nulls("start").unique("row", keep="first", maintain_order=True)
    parts = _parts(periods)
    if parts.is_empty():
        return pl.DataFrame(
            schema={**versions.frame.schema, **dict.fromkeys(SOURCES, pl.Int32), "period_type": pl.String}
        )
    targets, target = np.unique(parts["target"].to_numpy(), return_inverse=True)
    part_row = parts["part_row"].to_numpy()
    # the days on which one of its parts changed, with the filing that came last
    owner, at = events.ranges(
        np.searchsorted(versions.row, part_row), np.searchsorted(versions.row, part_row, side="right")
    )
    when = target[owner] * events.DAYS + versions.day[at]
    known, accession = (versions.frame[name].to_physical().to_numpy() for name in ("known_at", "accession"))
    order = np.lexsort((accession[at], known[at], when))
    order = order[last(when[order])]
    when, newest = when[order], at[order]
    of, day = when // events.DAYS, when % events.DAYS
    # each part as known on that day
    rows = np.full((len(targets), len(ROLES)), -1, dtype=np.int64)
    rows[target, parts["role"].to_physical().to_numpy()] = part_row
    held, have = rows[of], versions.row * events.DAYS + versions.day
    version = np.searchsorted(have, held * events.DAYS + day[:, None], side="right") - 1
    version = np.where((held >= 0) & (versions.row[version] == held), version, -1)
    one = versions.frame[newest]
    return _summed(
        one.select("cik", "currency", "known_at", "accession").with_columns(
            dates(ends.day[targets[of]]).alias("end"), dates(day).alias("day")
        ),
        versions.frame,
        version,
    ).with_columns(pl.lit("TTM").alias("period_type"))


ROLES = ("y", "q0", "q1", "q2", "q3", "base", "now", "then")
"""Rows a TTM row is made of: the year; four quarters, newest first; the year before, year to date, and the same a year
earlier."""
SOURCES = tuple(f"version_{role}" for role in ROLES[1:])


def _parts(periods: pl.DataFrame) -> pl.DataFrame:
    """target (an end number) -> role, part_row."""
    target = ["cik", "currency", "end"]
    numbers = periods.select(*target, number=pl.col("row") // events.SPANS).unique()
    years, quarters = (periods.filter(pl.col("span") == span).select(target).sort("end") for span in ("Y", "Q"))

    starts = periods.filter(pl.col("span") == "Q").select(*target, "start")

    def earlier(frame: pl.DataFrame, of: str, by: int, within: int, ends: pl.DataFrame, name: str) -> pl.DataFrame:
        found = frame.with_columns(pl.col(of).dt.offset_by(f"-{by}d").alias("near")).sort("near")
        return found.join_asof(
            ends.with_columns(pl.col("end").alias(name)),
            left_on="near",
            right_on="end",
            by=["cik", "currency"],
            strategy="nearest",
            tolerance=f"{within}d",
            check_sortedness=False,
            suffix="_found",
        ).drop("near", "end_found", strict=False)

    chain = quarters.with_columns(pl.col("end").alias("q0"))
    for role, after in (("q1", "q0"), ("q2", "q1"), ("q3", "q2")):
        chain = chain.join(starts.rename({"end": after}), on=["cik", "currency", after], how="left")
        chain = earlier(chain, "start", 1, NEAR_DAYS, quarters, role).drop("start")
    to_date = (
        periods.filter(pl.col("span").is_in(["Q", "H", "N"]))
        .with_columns(pl.col("start").dt.offset_by("-1d").alias("base"))
        .join(years.rename({"end": "base"}), on=["cik", "currency", "base"])
        .rename({"end": "now"})
    )
    running = []
    for span in ("Q", "H", "N"):
        same = periods.filter(pl.col("span") == span).select(target).sort("end")
        running.append(earlier(to_date.filter(pl.col("span") == span), "now", 364, 8, same, "then"))
    year_to_date = pl.concat(running).drop_nulls("then").with_columns(pl.col("now").alias("end"))
    parts = [years.select(*target, role=pl.lit("y"), part_span=pl.lit("Y", dtype=SPAN), part_end=pl.col("end"))]
    for role in ("q0", "q1", "q2", "q3"):
        parts.append(chain.select(*target, role=pl.lit(role), part_span=pl.lit("Q", dtype=SPAN), part_end=pl.col(role)))
    spans = {"base": pl.lit("Y", dtype=SPAN), "now": pl.col("span"), "then": pl.col("span")}
    for role, part_span in spans.items():
        parts.append(year_to_date.select(*target, role=pl.lit(role), part_span=part_span, part_end=pl.col(role)))
    part_row = pl.col("number_part") * events.SPANS + pl.col("part_span").to_physical()
    return (
        pl.concat(parts)
        .drop_nulls("part_end")
        .unique([*target, "role"], keep="first", maintain_order=True)
        .join(numbers, on=target)
        .join(numbers, left_on=["cik", "currency", "part_end"], right_on=target, suffix="_part")
        .select(pl.col("role").cast(pl.Enum(ROLES)), target="number", part_row=part_row)
    )


def _summed(days: pl.DataFrame, versions: pl.DataFrame, of_role: Ints) -> pl.DataFrame:
    """Twelve months of each of `days` from the versions of its parts: by day and role a row of `versions`, or -1."""
    columns = [*_VALUES, "eps_filed_on", "shares_filed_on", "version", "start"]
    for role, which in zip(ROLES, of_role.T, strict=True):
        at = pl.Series(which).replace(-1, None)
        days = days.with_columns(versions.select(pl.col(columns).gather(at).name.prefix(f"{role}.")))
    quarters = ("q0", "q1", "q2", "q3")

    def flow(figure: str) -> pl.Expr:
        four = sum((pl.col(f"{q}.{figure}") for q in quarters[1:]), pl.col(f"q0.{figure}"))
        rolled = pl.col(f"base.{figure}") + pl.col(f"now.{figure}") - pl.col(f"then.{figure}")
        return pl.coalesce(pl.col(f"y.{figure}"), four, rolled).alias(figure)

    def latest(column: str) -> pl.Expr:
        return pl.coalesce(pl.col(f"{role}.{column}") for role in ("y", "q0", "now")).alias(column)

    averages = [pl.col(f"{q}.shares_average_diluted") for q in quarters]
    counted = pl.sum_horizontal(average.is_not_null().cast(pl.Int8) for average in averages)
    one_basis = (counted >= 2) & (pl.max_horizontal(averages) <= SAME_BASIS * pl.min_horizontal(averages))

    def per_share(figure: str) -> pl.Expr:
        four = sum((pl.col(f"{q}.{figure}") for q in quarters[1:]), pl.col(f"q0.{figure}"))
        return pl.coalesce(pl.col(f"y.{figure}"), pl.when(one_basis).then(four)).alias(figure)

    by_year = pl.col("y.start").is_not_null()
    by_quarters = pl.col("q3.start").is_not_null()
    return days.select(
        "cik",
        "currency",
        "end",
        "day",
        "known_at",
        "accession",
        pl.when(by_year)
        .then("y.start")
        .when(by_quarters)
        .then("q3.start")
        .when(pl.col("then.start").is_not_null())
        .then(pl.col("end").dt.offset_by("-1y").dt.offset_by("1d"))
        .alias("start"),
        *[flow(figure) for figure in (*FLOWS, *_TAX)],
        *[per_share(figure) for figure in PER_SHARE],
        *[latest(figure) for figure in BALANCES],
        pl.coalesce("y.eps_filed_on", "q0.eps_filed_on").alias("eps_filed_on"),
        latest("shares_filed_on"),
        pl.when(by_year).then("y.version").alias("version"),
        *[pl.when(~by_year).then(f"{role}.version").alias(name) for role, name in zip(ROLES[1:], SOURCES, strict=True)],
    )


SAME_BASIS = 1.25
"""Average shares of four quarters further apart than this factor: a split (the smallest usual one is 5 for 4) or a
merger lies between them, and their per-share figures do not add up."""


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

    A period's longest amount from the year's start tells its quarter (six months: the second).
    """
    longest = (
        durations.group_by("cik", "end", "day")
        .agg(pl.col("days").max())
        .sort("cik", "end", "day")
        .with_columns(pl.col("days").cum_max().over("cik", "end"))
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
    quarter = pl.coalesce((pl.col("days") / 91.31).round().cast(pl.Int32), by_given)
    year_end = pl.col("end") + pl.duration(days=((4 - quarter) * 91.31).round())
    return rows.with_columns(
        (year_end - pl.duration(days=7)).dt.year().alias("fiscal_year"),
        pl.when(pl.col("period_type") != "FY").then(quarter).alias("fiscal_quarter"),
    )
