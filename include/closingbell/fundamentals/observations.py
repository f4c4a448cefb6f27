"""Facts of every filing -> what each filing states: one observation an item's tag, period and filing day.

In: facts as `parse.companyfacts` and `parse.with_known_at` make them. Out: ROW (company, currency, span and end), item,
kind, tag and rank, day, start, value, accession and known_at: rules 1 and 2 of `compute`. Set-wise over all companies.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from closingbell.fundamentals.concepts import concept_map

STATEMENT_FORMS = r"^(10-K|10-Q|20-F|40-F|6-K|8-K|S-1|S-4|S-11|F-1|F-4|10-12)"
"""Forms that carry statements; a proxy's pay table repeats net income, rounded."""

INTERIM_FORMS = r"^(10-Q|6-K)"
"""Reports within a year: their twelve months are rolling ones (utilities), or a context gone wrong (Under Armour's
0001336917-14-000035 gives the year 2012 six months of 2013), and tell nothing of a fiscal year."""

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
SPAN = pl.Enum([*LENGTHS, "I"])


def encoded(facts: pl.DataFrame, accession_nos: pl.Series) -> pl.DataFrame:
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
        .with_columns(
            pl.col("form").str.contains(INTERIM_FORMS).alias("interim"),
            pl.col("form").str.ends_with("/A").alias("amends"),
        )
        .drop("taxonomy", "concept", "accession_no", "form")
    )  # fmt: skip


def observed(facts: pl.DataFrame) -> pl.DataFrame:
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
        .filter(pl.col("span").is_not_null() & ~((pl.col("span") == "Y") & pl.col("interim")))
    )
    names = pl.Enum(seen["currency"].unique().sort())
    seen = seen.with_columns(pl.col("currency").cast(names))
    seen = _with_losses(_without_zeros(_in_order_of_knowledge(seen)))
    return _of_report(_snapped(_without_part_tags(seen)))


def odd_durations(facts: pl.DataFrame) -> pl.DataFrame:
    """cik, end, day, days of amounts over more than a quarter and less than a year that are none of LENGTHS."""
    days = (pl.col("period_end") - pl.col("period_start")).dt.total_days() + 1
    return (
        facts.select("cik", end="period_end", day="filed_on", days=days, odd=pl.lit(True))
        .filter(pl.col("days").is_between(LENGTHS["Q"][0][1], LENGTHS["Y"][0][0]))
        .filter(~pl.any_horizontal(_lasts(pl.col("days"), span) for span in LENGTHS))
    )


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


def _without_zeros(seen: pl.DataFrame) -> pl.DataFrame:
    """Without zeros beside which the same filing shows another tag's amount of the item (see concepts.toml)."""
    place = ["cik", "day", "accession", "item", "end"]
    kinds = seen.filter("zero_yields")
    some = kinds.filter(pl.col("value") != 0).select(place).unique()
    zeros = kinds.filter(pl.col("value") == 0).join(some, on=place, how="semi").select(*place, "tag")
    return seen.join(zeros, on=[*place, "tag"], how="anti") if zeros.height else seen


def _with_losses(seen: pl.DataFrame) -> pl.DataFrame:
    """Net income and earnings per share of one filing and period that agree but for the sign: both are losses.

    A minus gets forgotten, not invented: SunEdison's 0000945436-14-000071 states a net income of 613.6 million beside
    -2.31 a share of 265.6 million. They agree within 5 % (preferred dividends) and half a cent a share.
    """
    period = ["cik", "day", "accession", "start", "end"]
    items = pl.col("item").cast(pl.String)
    income = seen.filter(items == "net_income_reported").select(*period, "tag", income="value")
    found = []
    for kind, average in (("basic", "shares_average"), ("diluted", "shares_average_diluted")):
        per_share = seen.filter(items == f"eps_{kind}_reported").select(*period, eps="value", eps_tag="tag")
        shares = seen.filter(items == average).select(*period, shares="value")
        both = income.join(per_share, on=period).join(shares, on=period)
        apart = (pl.col("income") + pl.col("eps") * pl.col("shares")).abs()
        found.append(
            both.filter(
                (pl.col("income") * pl.col("eps") < 0)
                & (apart <= 0.05 * pl.col("income").abs() + 0.005 * pl.col("shares"))
            )
        )
    slips = pl.concat([*(f.select(*period, "tag") for f in found), *(f.select(*period, tag="eps_tag") for f in found)])
    if slips.is_empty():
        return seen
    lost = pl.lit(True).alias("lost")
    return (
        seen.join(slips.unique().with_columns(lost), on=[*period, "tag"], how="left", maintain_order="left")
        .with_columns(pl.when("lost").then(-pl.col("value").abs()).otherwise("value").alias("value"))
        .drop("lost")
    )


def _without_part_tags(seen: pl.DataFrame) -> pl.DataFrame:
    """Without tags that a filing shows to be parts, in any of its periods, of what they should be the total of."""
    filing, period = ["cik", "day", "accession"], ["start", "end"]
    below = _below()
    left = seen.filter(pl.col("tag").is_in({tag for *tags, _ in below for tag in tags}))
    left = left.select(*filing, *period, "tag", pl.col("value").abs())
    parts = [left.select(*filing, "tag").clear()]
    for tag, other, part in below:
        totals, others = (left.filter(pl.col("tag") == number) for number in (tag, other))
        found = (
            totals.join(others, on=[*filing, *period], suffix="_other")
            .filter(pl.col("value") < part * pl.col("value_other"))
            .select(*filing, "tag")
            .unique()
        )
        if found.height:
            parts.append(found)
            left = left.join(found, on=[*filing, "tag"], how="anti")
    return seen.join(pl.concat(parts), on=[*filing, "tag"], how="anti")


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
            *ROW,
            "item",
            "kind",
            "tag",
            "rank",
            "day",
            "start",
            "stated_end",
            "days",
            "value",
            "accession",
            "known_at",
            "amends",
        )
    )


def _below() -> list[tuple[int, int, float]]:
    """ConceptMap.below by tag number."""
    number = {concept: tag for tag, concept in _numbered_tags().select("tag", "concept").iter_rows()}
    return [(number[tag], number[other], part) for tag, other, part in concept_map().below]


def _numbered_tags() -> pl.DataFrame:
    return concept_map().tags.select("taxonomy", "concept").unique(maintain_order=True).with_row_index("tag")
