"""Ratings -> the analysts' consensus of each security as a moment knew it. Frames in, frames out; no clock.

A firm counts with its latest rating of the last 12 months, however its name is spelled that day. A later row without a
rating (a target changed) leaves the rating standing; one that ends coverage, or says the firm has no opinion, ends it.
Targets count in the price's currency only, and on the share basis of the session: a target published before a split is
divided by it. Of a rating that its vendor corrected, a moment knows the version of then; one that was removed counts
until its removal.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl

from closingbell.ratings.parse import ENDING, SCHEMA

CONSENSUS: dict[str, Any] = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "firms": pl.Int64,
    "rating_mean": pl.Float64,
    "rating_dispersion": pl.Float64,
    "strong_buys": pl.Int64,
    "buys": pl.Int64,
    "holds": pl.Int64,
    "sells": pl.Int64,
    "strong_sells": pl.Int64,
    "targets": pl.Int64,
    "target_mean": pl.Float64,
    "target_median": pl.Float64,
    "target_low": pl.Float64,
    "target_high": pl.Float64,
    "target_currency": pl.String,
    "last_rated_at": pl.Datetime("us", "UTC"),
    "ratings_from": pl.Date,
}
"""firms: how many have a rating that counts. rating_dispersion: sample standard deviation, null under two firms.
targets: how many of the firms have a target in target_currency. ratings_from: the day that ratings are loaded from; the
twelve months before it where they are whole."""

RATINGS: dict[str, Any] = {
    "vendor": pl.String,
    "rating_id": pl.String,
    "security_id": pl.Int64,
    **{name: dtype for name, dtype in SCHEMA.items() if name not in ("vendor", "rating_id", "refused")},
    "removed_at": pl.Datetime("us", "UTC"),
}
"""A row of analyst_ratings, without lineage."""

COUNTS = {5: "strong_buys", 4: "buys", 3: "holds", 2: "sells", 1: "strong_sells"}
SPLITS: dict[str, Any] = {
    "security_id": pl.Int64,
    "ex_date": pl.Date,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
}


def consensus(
    versions: pl.DataFrame,
    *,
    known_at: datetime,
    session: date,
    splits: pl.DataFrame | None = None,
    currencies: pl.DataFrame | None = None,
    asked_from: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """What `session` knew at `known_at` (UTC): CONSENSUS, one row a security with at least one firm, by security_id.

    versions: columns of RATINGS (rows without a security are left out) and `version`, which is larger for the later of
    two versions of a rating that were known at one moment. splits: SPLITS, ex_date up to the session counts.
    currencies: security_id, currency of its price; USD where it has no row. asked_from: security_id, asked_from (the
    first day its ratings were asked for); the whole twelve months where it has no row.
    """
    since = pl.lit(known_at).dt.offset_by("-12mo")
    known = (
        _as_known(versions, known_at)
        .filter(pl.col("security_id").is_not_null() & (pl.col("rated_at") <= known_at) & (pl.col("rated_at") > since))
        # JP Morgan, JPMorgan and J.P. Morgan are one
        .with_columns(pl.col("analyst_firm").str.to_lowercase().str.replace_all(r"[^\pL\pN]", ""))
        .sort("security_id", "analyst_firm", "rated_at", "rating_id")
    )
    year = pl.lit(session).dt.offset_by("-12mo")
    asked = pl.DataFrame(schema={"security_id": pl.Int64, "asked_from": pl.Date}) if asked_from is None else asked_from
    standing = _standing(known)
    firm = ["security_id", "analyst_firm"]
    rated = (
        standing.filter(pl.col("rating_numeric").is_not_null())
        .group_by(firm)
        .agg(pl.col("rating_numeric").last(), pl.col("rated_at").last())
    )
    targeted = _targets(standing, splits, currencies, session)
    return (
        rated.join(targeted, on=firm, how="left")
        .sort(firm)  # sums of floats depend on the order, and equal rows must have equal bytes
        .group_by("security_id")
        .agg(
            pl.len().alias("firms"),
            pl.col("rating_numeric").mean().alias("rating_mean"),
            pl.col("rating_numeric").std().alias("rating_dispersion"),
            *((pl.col("rating_numeric") == number).sum().alias(name) for number, name in COUNTS.items()),
            pl.col("target").count().alias("targets"),
            pl.col("target").mean().alias("target_mean"),
            pl.col("target").median().alias("target_median"),
            pl.col("target").min().alias("target_low"),
            pl.col("target").max().alias("target_high"),
            pl.col("target_currency").drop_nulls().first().alias("target_currency"),
            pl.col("rated_at").max().alias("last_rated_at"),
        )
        .join(asked.select("security_id", "asked_from"), on="security_id", how="left")
        .with_columns(pl.lit(session).alias("session"), pl.max_horizontal("asked_from", year).alias("ratings_from"))
        .select(pl.col(name).cast(dtype) for name, dtype in CONSENSUS.items())
        .sort("security_id")
    )


def _as_known(versions: pl.DataFrame, known_at: datetime) -> pl.DataFrame:
    """Of each rating the version that `known_at` knew, without those removed by then."""
    return (
        versions.filter(pl.col("known_at") <= known_at)
        .sort("known_at", "version")
        .unique(["vendor", "rating_id"], keep="last", maintain_order=True)
        .filter(pl.col("removed_at").is_null() | (pl.col("removed_at") > known_at))
    )


def _standing(known: pl.DataFrame) -> pl.DataFrame:
    """The rows since a firm last ended its coverage or said that it has no opinion, that row left out."""
    ends = pl.col("action").is_in(ENDING).fill_null(False) | (
        pl.col("rating").is_not_null() & pl.col("rating_numeric").is_null()
    )
    later_ends = ends.cast(pl.Int64).cum_sum(reverse=True).over("security_id", "analyst_firm")
    return known.filter(later_ends == 0)


def _targets(
    standing: pl.DataFrame, splits: pl.DataFrame | None, currencies: pl.DataFrame | None, session: date
) -> pl.DataFrame:
    """security_id, analyst_firm, target (basis of the session), target_currency: each firm's last word on it."""
    wanted = pl.DataFrame(schema={"security_id": pl.Int64, "price_currency": pl.String})
    if currencies is not None:
        wanted = currencies.select("security_id", pl.col("currency").alias("price_currency"))
    last = (
        standing.filter(pl.col("price_target").is_not_null() | (pl.col("target_action") == "removes"))
        .group_by("security_id", "analyst_firm")
        .agg(
            pl.when(pl.col("target_action") == "removes")
            .then(None)
            .otherwise(pl.col("price_target"))
            .last()
            .alias("target"),
            pl.col("currency").last(),
            pl.col("rated_at").last().alias("targeted_at"),
        )
        .join(wanted, on="security_id", how="left")
        .filter(pl.col("currency") == pl.col("price_currency").fill_null("USD"))
    )
    since = (
        last.join(splits if splits is not None else pl.DataFrame(schema=SPLITS), on="security_id", how="inner")
        .filter(
            (pl.col("ex_date") <= session)
            & (pl.col("ex_date") > pl.col("targeted_at").dt.convert_time_zone("America/New_York").dt.date())
        )
        .group_by("security_id", "analyst_firm")
        .agg((pl.col("numerator") / pl.col("denominator")).product().alias("ratio"))
    )
    return last.join(since, on=["security_id", "analyst_firm"], how="left").select(
        "security_id",
        "analyst_firm",
        pl.col("target") / pl.col("ratio").fill_null(1.0),
        pl.col("currency").alias("target_currency"),
    )
