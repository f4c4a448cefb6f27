"""Ownership rows to what a session knew of its insiders: amendments, and net open-market buying over 30 and 90 days.

In: `trades` (parse.TRADES). Out: the same rows with what superseded them, the security each belongs to, and `ACTIVITY`.
Only codes P and S of the non-derivative table are open-market trades; grants, exercises, taxes and gifts are not.
A 4/A supersedes the lines it restates and no others; superseded lines stay, and are live on days before the amendment.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from closingbell.universe.tickers import normal_tickers

SUPERSEDED: dict[str, Any] = {"superseded_by": pl.String, "superseded_at": pl.Datetime("us", "UTC")}
"""The amendment's accession number and the moment it became known; null while the row stands."""

WINDOWS = (30, 90)
MEASURES: dict[str, Any] = {
    "buys": pl.Int64,
    "sells": pl.Int64,
    "shares_bought": pl.Float64,
    "shares_sold": pl.Float64,
    "net_shares": pl.Float64,
    "value_bought": pl.Float64,
    "value_sold": pl.Float64,
    "net_value": pl.Float64,
    "buyers": pl.Int64,
    "sellers": pl.Int64,
    "unpriced": pl.Int64,
}
ACTIVITY: dict[str, Any] = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "known_at": pl.Datetime("us", "UTC"),
    **{f"{measure}_{days}d": dtype for days in WINDOWS for measure, dtype in MEASURES.items()},
}
"""buys, sells: transactions. Values in USD, over trades with a price (null where none has one); unpriced counts the
others. buyers, sellers: distinct insiders (those filing jointly are one): a cluster is several. known_at: of the newest
trade counted. Shares are as traded: a split inside a window mixes two bases, values do not."""

Row = dict[str, Any]


def supersede(trades: pl.DataFrame) -> pl.DataFrame:
    """`trades` with SUPERSEDED added. Give all rows of the issuers in it: an amendment is matched to what it amends.

    Candidates are rows of the same issuer, base form, table and a common owner, known before the amendment and still
    live; of the day the amendment names as its original's, where some are. A line is matched within its transaction
    date, code and security title: to the line equal in all amounts, else in shares, in price, or by its place. A line
    left over corrects the date or the code itself: it takes the leftover line of the named original in its own place.
    """
    amended = trades.filter(pl.col("form").str.ends_with("/A"))["issuer_cik"].unique()
    rows = trades.filter(pl.col("issuer_cik").is_in(amended.implode())).sort("known_at", "accession_no").to_dicts()
    by_issuer: dict[int, list[Row]] = defaultdict(list)
    amendments: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        row["superseded_by"] = row["superseded_at"] = None
        by_issuer[row["issuer_cik"]].append(row)
        if row["form"].endswith("/A"):
            amendments[row["accession_no"]].append(row)
    for lines in amendments.values():
        _supersede_by(lines, by_issuer[lines[0]["issuer_cik"]])
    key = ["accession_no", "is_derivative", "row_no"]
    found = pl.DataFrame(
        [[row[name] for name in (*key, *SUPERSEDED)] for row in rows if row["superseded_by"]],
        schema={**{name: trades.schema[name] for name in key}, **SUPERSEDED},
        orient="row",
    )
    return trades.drop(*SUPERSEDED, strict=False).join(found, on=key, how="left", maintain_order="left")


def _supersede_by(lines: list[Row], of_issuer: list[Row]) -> None:
    first = lines[0]
    live = [
        row
        for row in of_issuer
        if row["known_at"] < first["known_at"]
        and row["accession_no"] != first["accession_no"]
        and row["superseded_by"] is None
        and row["form"].removesuffix("/A") == first["form"].removesuffix("/A")
        and not set(row["owner_ciks"]).isdisjoint(first["owner_ciks"])
    ]
    original = first["amends_filed_on"]
    named = [row for row in live if original and original in (row["filed_on"], row["amends_filed_on"])]
    candidates = named or live
    for alike in (_same_line, _same_amounts, _same_shares, _same_price, _same_place):
        lines, candidates = _match(lines, candidates, alike)
    if named:
        for alike in (_same_place_and_shares, _same_place_of_filing):
            lines, candidates = _match(lines, candidates, alike)


def _match(lines: list[Row], candidates: list[Row], alike: Callable[[Row], Any]) -> tuple[list[Row], list[Row]]:
    """Pairs lines with candidates of the same key, in order; returns what is left of both."""
    waiting: dict[Any, list[Row]] = defaultdict(list)
    for row in candidates:
        waiting[alike(row)].append(row)
    left = []
    taken: set[int] = set()
    for line in lines:
        if queue := waiting[alike(line)]:
            row = queue.pop(0)
            row["superseded_by"], row["superseded_at"] = line["accession_no"], line["known_at"]
            taken.add(id(row))
        else:
            left.append(line)
    return left, [row for row in candidates if id(row) not in taken]


def _same_trade(row: Row) -> tuple[Any, ...]:
    title = re.sub(r"[^a-z0-9]+", " ", (row["security_title"] or "").lower()).strip()
    return row["is_derivative"], row["transaction_date"], row["transaction_code"], title


def _same_line(row: Row) -> tuple[Any, ...]:
    return *_same_amounts(row), row["row_no"]


def _same_amounts(row: Row) -> tuple[Any, ...]:
    return *_same_shares(row), row["price_per_share"], row["shares_owned_after"]


def _same_shares(row: Row) -> tuple[Any, ...]:
    return *_same_trade(row), row["shares"], row["acquired"]


def _same_price(row: Row) -> tuple[Any, ...]:
    # a grant's 0 and a missing price are no likeness
    return *_same_trade(row), row["acquired"], row["price_per_share"] or (row["accession_no"], row["row_no"])


def _same_place(row: Row) -> tuple[Any, ...]:
    return *_same_trade(row), row["row_no"]


def _same_place_and_shares(row: Row) -> tuple[Any, ...]:
    return row["is_derivative"], row["shares"], row["price_per_share"], row["row_no"]


def _same_place_of_filing(row: Row) -> tuple[Any, ...]:
    # a date or a code corrected, not both: what is left with neither is another trade
    return row["is_derivative"], row["row_no"], row["transaction_date"]


def with_securities(trades: pl.DataFrame, listings: pl.DataFrame) -> pl.DataFrame:
    """`trades` with security_id: the issuer's class with the ticker the document gives, else the issuer's first class.

    listings: security_id, cik, ticker (house spelling; any number of tickers a security). Keyed by the issuer's CIK:
    an issuer that is not listed has null. Documents write tickers freely ("NYSE: ABC", "goog, googl").
    """
    classes = listings.select("cik", "security_id", "ticker").unique()
    first = classes.group_by("cik").agg(pl.col("security_id").min().alias("first_class"))
    by_ticker = classes.group_by("cik", "ticker").agg(pl.col("security_id").min())
    written = pl.col("issuer_ticker").fill_null("").str.split(",").list.first().str.split(":").list.last()
    tickers = trades.with_row_index("_row").select(
        "_row", "issuer_cik", ticker=normal_tickers(trades.select(written.str.strip_chars()).to_series())
    )
    matched = (
        tickers.join(by_ticker, left_on=["issuer_cik", "ticker"], right_on=["cik", "ticker"], how="left")
        .join(first, left_on="issuer_cik", right_on="cik", how="left")
        .sort("_row")
        .select(pl.coalesce("security_id", "first_class").cast(pl.Int64).alias("security_id"))
    )
    return trades.drop("security_id", strict=False).hstack(matched)


def live(trades: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The rows that stood at a moment: known by then, and not yet superseded."""
    return trades.filter(
        pl.col("known_at") <= as_of, pl.col("superseded_at").is_null() | (pl.col("superseded_at") > as_of)
    )


def open_market(trades: pl.DataFrame) -> pl.DataFrame:
    """The P and S rows of the non-derivative table, each trade once, with `insider` (the first owner's CIK).

    A group of more owners than one form holds files the same trades several times; copies (equal in day, code, title,
    shares, price and shares owned after, by other owners of the same issuer on one day) are left out.
    """
    trade = ["issuer_cik", "transaction_date", "transaction_code", "security_title", "shares", "price_per_share"]
    trade += ["shares_owned_after", "filed_on", "form"]
    tranche = pl.int_range(pl.len()).over("accession_no", *trade)
    return (
        trades.filter(~pl.col("is_derivative"), pl.col("transaction_code").is_in(["P", "S"]))
        .sort("known_at", "accession_no", "row_no")
        .with_columns(insider=pl.col("owner_ciks").list.first(), _tranche=tranche)
        # without the shares owned after, two owners' equal trades cannot be told from one trade filed twice
        .with_columns(_copy=pl.when(pl.col("shares_owned_after").is_null()).then("accession_no"))
        .unique([*trade, "_tranche", "_copy"], keep="first", maintain_order=True)
        .drop("_tranche", "_copy")
    )


def activity(trades: pl.DataFrame, sessions: pl.DataFrame, *, windows: Sequence[int] = WINDOWS) -> pl.DataFrame:
    """Net open-market buying per security as each session knew it -> ACTIVITY, where a window of it has a trade.

    trades: with security_id and SUPERSEDED. sessions: session (Date), closes_at (UTC). A trade of day D is in the
    window of n days up to session S where S - n < D <= S, and counts where it was known, not superseded, by the close.
    """
    asked = sessions.select("session", "closes_at").unique()
    known = (
        open_market(trades.filter(pl.col("security_id").is_not_null()))
        .with_columns(forgotten_on=pl.col("transaction_date").dt.offset_by(f"{max(windows)}d"))
        .join_where(
            asked,
            pl.col("transaction_date") <= pl.col("session"),
            pl.col("forgotten_on") > pl.col("session"),
            pl.col("known_at") <= pl.col("closes_at"),
        )
        .filter(pl.col("superseded_at").is_null() | (pl.col("superseded_at") > pl.col("closes_at")))
    )
    measures = [
        measure.cast(MEASURES[name]).alias(f"{name}_{days}d")
        for days in windows
        for name, measure in _measures(pl.col("transaction_date").dt.offset_by(f"{days}d") > pl.col("session")).items()
    ]
    schema = {**dict(list(ACTIVITY.items())[:3]), **{f"{m}_{d}d": t for d in windows for m, t in MEASURES.items()}}
    return (
        known.group_by("security_id", "session")
        .agg(pl.col("known_at").max(), *measures)
        .sort("security_id", "session")
        .select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    )


def _measures(within: pl.Expr) -> dict[str, pl.Expr]:
    bought, sold = within & (pl.col("transaction_code") == "P"), within & (pl.col("transaction_code") == "S")

    def total(column: str, which: pl.Expr) -> pl.Expr:
        counted = pl.col(column).filter(which)
        return pl.when((counted.len() == 0) | (counted.count() > 0)).then(counted.sum())

    return {
        "buys": bought.sum(),
        "sells": sold.sum(),
        "shares_bought": total("shares", bought),
        "shares_sold": total("shares", sold),
        "net_shares": total("shares", bought) - total("shares", sold),
        "value_bought": total("total_value", bought),
        "value_sold": total("total_value", sold),
        "net_value": total("total_value", bought) - total("total_value", sold),
        "buyers": pl.col("insider").filter(bought).n_unique(),
        "sellers": pl.col("insider").filter(sold).n_unique(),
        "unpriced": ((bought | sold) & pl.col("total_value").is_null()).sum(),
    }


def amended_issuers(trades: pl.DataFrame) -> list[int]:
    """CIKs of issuers that an amendment among these rows concerns: all their rows are needed to supersede."""
    return trades.filter(pl.col("form").str.ends_with("/A"))["issuer_cik"].unique().sort().to_list()
