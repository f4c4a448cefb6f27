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
SLICE = 50
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

TAIL = r"(?:[,(]|\bwith\b|\bpar value\b|\b(?:stock|shares?)\s*(?:\band\b|\bunderlying\b|[&/])).*$"
"""What a title is not of: "Common Stock and associated preferred share purchase rights" is common stock."""
CLASS = r"\b(?:class|series|cl\.?)\s+([a-z])\b"
NO_STOCK = (
    r"\b(?:\w*preferred|preference|pref|pfd|notes?|nts|loans?|debentures?|bonds?|certificates? of deposit|auction rate|"
    r"warrants?|rights?|units?|phantom|depositary)\b"
)
STOCK_ALL_THE_SAME = (
    r"\b(?:american|global) depositary (?:shares?|receipts?)\b|^units?\b.*\binterests?\b|"
    r"\b(?:common|trust|depositary|l\.?p\.?|limited partner(?:ship)?|class [a-z]) units?\b"
)
"""Units that are a partnership's or a trust's stock; others are a SPAC's share and warrant, or promises of stock."""
PAR_VALUE = r"[\s,(]*(?:(?:no|\$?[\d.]+) +)?par value.*$"
TITLE = 200
"""Signs of a title that are compared; EDGAR takes fewer."""
COPY_DAYS = 5
"""A group too large for one form files its parts at most so many days apart."""

Row = dict[str, Any]


def supersede(trades: pl.DataFrame) -> pl.DataFrame:
    """`trades` with SUPERSEDED added. Give all rows of the issuers in it: an amendment is matched to what it amends.

    Candidates are rows of the same issuer, base form, table and a common owner, filed before the amendment and still
    live; of the day the amendment names as its original's, where some are. A line is matched within its transaction
    date, code and security title: to the line equal in all amounts, else in shares, in price, or by its place. A line
    left over corrects the date or the code itself: it takes the leftover line of the named original in its own place,
    the leftover line of the other table with its amounts, or, where no original is named or found, the line equal in
    everything but the code, and then, where one filing alone has the amendment's owners and period, that filing's line
    in its place with its shares and price, or with as much owned after. One that corrects its owner takes, of the named
    original's day, the line of another owner that is equal in everything else. Fewer lines that make the sum of a
    trade's tranches take them all.
    A trade that the original left out supersedes nothing: what is owned after it goes on from the original's last line,
    or the original's first line goes on from it.
    """
    amended = trades.filter(pl.col("form").str.ends_with("/A"))["issuer_cik"].unique()
    rows = trades.filter(pl.col("issuer_cik").is_in(amended.implode())).to_dicts()
    rows.sort(key=_came)
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
    of_anybody = [
        row
        for row in of_issuer
        if _came(row) < _came(first)
        and row["superseded_by"] is None
        and row["form"].removesuffix("/A") == first["form"].removesuffix("/A")
    ]
    live = [row for row in of_anybody if not set(row["owner_ciks"]).isdisjoint(first["owner_ciks"])]
    original = first["amends_filed_on"]

    def is_named(row: Row) -> bool:
        return bool(original) and original in (row["filed_on"], row["amends_filed_on"])

    named = [row for row in live if is_named(row)]
    if original and not named:
        lines, _ = _match(lines, [row for row in of_anybody if is_named(row)], _same_but_owner)
    candidates = named or live
    restated = lines
    for alike in (_same_line, _same_amounts, _same_shares):
        lines, candidates = _match(lines, candidates, alike)
    lines = _without_additions(lines, named or live)
    for alike in (_same_price, _same_place):
        lines, candidates = _match(lines, candidates, alike)
    if named:
        for alike in (_same_place_and_shares, _same_place_of_filing, _same_after, _same_of_other_table):
            lines, candidates = _match(lines, candidates, alike)
        _supersede_tranches(restated, named)
    else:
        lines, candidates = _match(lines, candidates, _same_but_code)
        of_period = [row for row in live if row["period_of_report"] == first["period_of_report"]]
        if len({row["accession_no"] for row in of_period}) == 1:
            candidates = [row for row in of_period if row["superseded_by"] is None]
            for alike in (_same_place_and_shares, _same_after):
                lines, candidates = _match(lines, candidates, alike)


def _came(row: Row) -> tuple[Any, ...]:
    """The order of filings. Without acceptance times an original and its amendment are known at one moment."""
    return row["known_at"], row["form"].endswith("/A"), row["accession_no"]


def _without_additions(lines: list[Row], rows: list[Row]) -> list[Row]:
    """The lines but for trades that the original left out: before its first line, or after its last."""

    def follows(line: Row, row: Row) -> bool:
        before, after, shares = row["shares_owned_after"], line["shares_owned_after"], line["shares"]
        if None in (before, after, shares) or _same_holding(line) != _same_holding(row):
            return False
        return bool(shares) and abs(before + (shares if line["acquired"] else -shares) - after) < 0.01

    first = [row for row in rows if not any(follows(row, other) for other in rows)]
    last = [row for row in rows if not any(follows(other, row) for other in rows)]
    return [
        line
        for line in lines
        if not any(follows(row, line) for row in first) and not any(follows(line, row) for row in last)
    ]


def _supersede_tranches(lines: list[Row], rows: list[Row]) -> None:
    """Marks the rows of a trade in tranches that the lines tell in others: as many shares, as many owned after them."""

    def summed(told: list[Row], *more: str) -> dict[Any, list[Row]]:
        trades: dict[Any, list[Row]] = defaultdict(list)
        for row in told:
            key = *_same_trade(row), row["acquired"], _same_holding(row), *(row[name] for name in more)
            trades[key].append(row)
        return trades

    of_lines = summed(lines)
    for (*key, _), told in summed(rows, "accession_no").items():
        again = of_lines.get(tuple(key), [])
        totals = [sum(row["shares"] or 0 for row in tranches) for tranches in (told, again)]
        if again and totals[0] == totals[1] and told[-1]["shares_owned_after"] == again[-1]["shares_owned_after"]:
            for row in told:
                _mark(row, again[-1])


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
            _mark(row, line)
            taken.add(id(row))
        else:
            left.append(line)
    return left, [row for row in candidates if id(row) not in taken]


def _mark(row: Row, line: Row) -> None:
    row["superseded_by"], row["superseded_at"] = line["accession_no"], line["known_at"]


def _title(row: Row) -> str:
    # cut: the expression looks at the rest anew from each sign on
    title = re.sub(PAR_VALUE, "", (row["security_title"] or "")[:TITLE].lower())
    return re.sub(r"[^a-z0-9]+", " ", title).strip()


def _same_holding(row: Row) -> tuple[Any, ...]:
    return row["is_derivative"], row["direct"], row["ownership_nature"], _title(row)


def _same_trade(row: Row) -> tuple[Any, ...]:
    return row["is_derivative"], row["transaction_date"], row["transaction_code"], _title(row)


def _same_line(row: Row) -> tuple[Any, ...]:
    return *_same_amounts(row), row["row_no"]


def _same_amounts(row: Row) -> tuple[Any, ...]:
    return *_same_shares(row), row["price_per_share"], row["shares_owned_after"]


def _same_shares(row: Row) -> tuple[Any, ...]:
    return *_same_trade(row), row["shares"], row["acquired"]


def _same_but_owner(row: Row) -> tuple[Any, ...]:
    return *_same_amounts(row), _same_holding(row)


def _same_but_code(row: Row) -> tuple[Any, ...]:
    # without what is owned after it, equal trades are not told apart
    after = row["shares_owned_after"]
    unlike = (row["accession_no"], row["row_no"]) if after is None else None
    amounts = row["shares"], row["acquired"], row["price_per_share"], after, unlike
    return row["transaction_date"], *_same_holding(row), *amounts


def _same_price(row: Row) -> tuple[Any, ...]:
    # a grant's 0 and a missing price are no likeness
    return *_same_trade(row), row["acquired"], row["price_per_share"] or (row["accession_no"], row["row_no"])


def _same_place(row: Row) -> tuple[Any, ...]:
    return *_same_trade(row), row["row_no"]


def _same_place_and_shares(row: Row) -> tuple[Any, ...]:
    return row["is_derivative"], row["shares"], row["price_per_share"], row["row_no"]


def _same_place_of_filing(row: Row) -> tuple[Any, ...]:
    return row["is_derivative"], row["row_no"], row["transaction_date"]


def _same_after(row: Row) -> tuple[Any, ...]:
    # date and price corrected, or the place; without what is owned after it, it may be another trade
    after = row["shares_owned_after"]
    unlike = row["accession_no"] if after is None else None
    return *_same_holding(row), row["acquired"], row["shares"], after, unlike


def _same_of_other_table(row: Row) -> tuple[Any, ...]:
    # a grant's 0 and a missing price are no likeness
    price = row["price_per_share"] or (row["accession_no"], row["row_no"])
    return row["transaction_date"], row["acquired"], row["shares"], price


def with_securities(trades: pl.DataFrame, listings: pl.DataFrame) -> pl.DataFrame:
    """`trades` with security_id: the issuer's class that the line's title names ("Class B", "Series C"), else the one
    with the ticker that the document gives, else the issuer's first. None where the title is of no stock (preferred,
    notes, warrants, rights, most units) or of a class that none of the issuer's is, and where the document gives
    several tickers and the title does not choose.

    listings: security_id, cik, share_class, ticker (house spelling; any number of tickers a security). Keyed by the
    issuer's CIK: an issuer that is not listed has null. Documents write tickers freely ("NYSE: ABC", "goog, googl").
    """
    named = ["issuer_cik", "issuer_ticker", "security_title"]
    asked = trades.select(named).unique().with_row_index("_asked")
    classes = listings.select(issuer_cik="cik", share_class="share_class", ticker="ticker", security_id="security_id")
    title = pl.col("security_title").fill_null("").str.to_lowercase()
    is_stock = ~title.str.replace(STOCK_ALL_THE_SAME, "").str.replace(TAIL, "").str.contains(NO_STOCK)
    named_class = title.str.extract(CLASS, 1).str.to_uppercase()
    written = asked.select("_asked", "issuer_cik", ticker=pl.col("issuer_ticker").fill_null("").str.split(",")).explode(
        "ticker"
    )
    tickers = normal_tickers(written["ticker"].str.split(":").list.last().str.strip_chars())
    by_ticker = (
        written.with_columns(ticker=tickers)
        .join(classes, on=["issuer_cik", "ticker"])
        .select("_asked", "security_id", told=True)
        .unique()
    )
    by_title = (
        asked.select("_asked", "issuer_cik", share_class=named_class)
        .join(classes, on=["issuer_cik", "share_class"])
        .select("_asked", "security_id")
        .unique()
        .join(by_ticker, on=["_asked", "security_id"], how="left")
        # of several of one class (tracking stocks) the one whose ticker is given
        .filter(pl.col("told").fill_null(False) | ~pl.col("told").any().over("_asked"))
    )

    def one(found: pl.DataFrame, name: str) -> pl.DataFrame:
        only = pl.when(pl.len() == 1).then(pl.col("security_id").first())
        return found.group_by("_asked").agg(only.alias(name), pl.len().alias(f"{name}_n"))

    first = classes.group_by("issuer_cik").agg(
        first_class=pl.col("security_id").min(), classed=pl.col("share_class").is_not_null().all()
    )
    decided = (
        asked.join(one(by_title, "of_title"), on="_asked", how="left")
        .join(one(by_ticker, "of_ticker"), on="_asked", how="left")
        .join(first, on="issuer_cik", how="left")
        .select(
            *named,
            security_id=pl.when(~is_stock)
            .then(None)
            .when(pl.col("of_title_n") > 0)
            .then("of_title")
            .when(named_class.is_not_null() & pl.col("classed"))  # a class that is not listed
            .then(None)
            .when(pl.col("of_ticker_n") > 0)
            .then("of_ticker")
            .otherwise("first_class")
            .cast(pl.Int64),
        )
    )
    return trades.drop("security_id", strict=False).join(
        decided, on=named, how="left", nulls_equal=True, maintain_order="left"
    )


def live(trades: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The rows that stood at a moment: known by then, and not yet superseded."""
    return trades.filter(
        pl.col("known_at") <= as_of, pl.col("superseded_at").is_null() | (pl.col("superseded_at") > as_of)
    )


def open_market(trades: pl.DataFrame) -> pl.DataFrame:
    """The P and S rows of shares in the non-derivative table, each trade once, with `insider` (the first owner's CIK).

    A group of more owners than one form holds files the same trades several times, and an owner may send one twice. A
    copy is equal in day, code, title, shares, price and shares owned after, and comes within COPY_DAYS. Of an owner
    that both filings have it is one where all lines of the shorter filing are such: an owner's second trade leaves
    another balance, but for lines that tell the balance of the day's end. Of other owners it is one where the holding
    can be shared (indirect, or a 10 % owner's), and one of the filings is a group's: two directors who buy equal lots
    are two. Amendments by one owner supersede one another.
    """
    title = pl.col("security_title").str.to_lowercase().str.replace(PAR_VALUE, "")
    trade = ["issuer_cik", "transaction_date", "transaction_code", "_title", "shares", "price_per_share"]
    trade += ["shares_owned_after", "form"]
    rows = (
        trades.filter(~pl.col("is_derivative"), pl.col("transaction_code").is_in(["P", "S"]))
        .filter(pl.col("shares").ne_missing(0))
        .sort("known_at", "accession_no", "row_no")
        .with_columns(
            insider=pl.col("owner_ciks").list.first(),
            _title=title.str.replace_all(r"[^a-z0-9]+", " ").str.strip_chars(),
        )
        .with_columns(_tranche=pl.int_range(pl.len()).over("accession_no", *trade))
        .with_row_index("_row")
    )
    # without the shares owned after, equal trades cannot be told from one trade filed twice
    told = rows.filter(pl.col("shares_owned_after").is_not_null()).select(
        "_row",
        "accession_no",
        "owner_ciks",
        "filed_on",
        "_tranche",
        *trade,
        _shared=~pl.col("direct") | pl.col("is_ten_percent_owner"),
        _group=pl.col("owner_ciks").list.len() > 1,
        _lines=pl.len().over("accession_no"),
    )
    again = told.join(told, on=[*trade, "_tranche"], nulls_equal=True, suffix="_of").filter(
        pl.col("_row") > pl.col("_row_of"),
        (pl.col("filed_on") - pl.col("filed_on_of")).dt.total_days().abs() <= COPY_DAYS,
    )
    is_same_owner = pl.col("owner_ciks").list.set_intersection("owner_ciks_of").list.len() > 0
    whole = pl.len().over("accession_no", "accession_no_of") == pl.min_horizontal("_lines", "_lines_of")
    copies = again.filter(
        pl.when(is_same_owner)
        .then(whole & ~pl.col("form").str.ends_with("/A"))
        .otherwise(pl.col("_shared") & pl.col("_shared_of") & (pl.col("_group") | pl.col("_group_of")))
    )
    return rows.join(copies, on="_row", how="anti", maintain_order="left").drop("_row", "_title", "_tranche")


def activity(trades: pl.DataFrame, sessions: pl.DataFrame, *, windows: Sequence[int] = WINDOWS) -> pl.DataFrame:
    """Net open-market buying per security as each session knew it -> ACTIVITY, where a window of it has a trade.

    trades: with security_id and SUPERSEDED. sessions: session (Date), closes_at (UTC). A trade of day D is in the
    window of n days up to session S where S - n < D <= S, and counts where it was known, not superseded, by the close.
    """
    asked = sessions.select("session", "closes_at").unique().sort("session")
    trades = open_market(trades.filter(pl.col("security_id").is_not_null())).select(
        "security_id",
        "insider",
        "transaction_date",
        "transaction_code",
        "shares",
        "total_value",
        "known_at",
        "superseded_at",
        forgotten_on=pl.col("transaction_date").dt.offset_by(f"{max(windows)}d"),
    )
    # some sessions at a time: each trade is in as many windows as 90 days have sessions
    found = [_activity(trades, part, windows) for part in asked.iter_slices(SLICE)] or [
        _activity(trades, asked, windows)
    ]
    return pl.concat(found).sort("security_id", "session")


def _activity(trades: pl.DataFrame, asked: pl.DataFrame, windows: Sequence[int]) -> pl.DataFrame:
    key = ["security_id", "session"]
    first, last = (pl.lit(day, dtype=pl.Date) for day in (asked["session"].min(), asked["session"].max()))
    near = trades.filter(pl.col("transaction_date") <= last, pl.col("forgotten_on") > first)
    known = near.join_where(
        asked,
        pl.col("transaction_date") <= pl.col("session"),
        pl.col("forgotten_on") > pl.col("session"),
        pl.col("known_at") <= pl.col("closes_at"),
    ).filter(pl.col("superseded_at").is_null() | (pl.col("superseded_at") > pl.col("closes_at")))
    frame = known.group_by(key).agg(pl.col("known_at").max())
    for days in windows:
        within = known.filter(pl.col("transaction_date").dt.offset_by(f"{days}d") > pl.col("session"))
        frame = frame.join(_measured(within, key, f"_{days}d"), on=key, how="left")
    zeros = {f"{name}_{days}d": name for days in windows for name in MEASURES}
    schema = {**{name: ACTIVITY[name] for name in (*key, "known_at")}, **{n: MEASURES[m] for n, m in zeros.items()}}
    traded = {days: pl.col(f"buys_{days}d").is_not_null() for days in windows}
    return frame.with_columns(  # a window without a trade that an older one has: nothing was bought, which is 0
        pl.when(traded[days]).then(pl.col(f"{name}_{days}d")).otherwise(0).alias(f"{name}_{days}d")
        for days in windows
        for name in MEASURES
    ).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _measured(trades: pl.DataFrame, key: list[str], suffix: str) -> pl.DataFrame:
    """MEASURES of the trades of each group; values null where trades are there and none has a price."""
    priced = pl.col("total_value").count()
    sides = []
    for code, count, side, people in (("P", "buys", "bought", "buyers"), ("S", "sells", "sold", "sellers")):
        sides.append(
            trades.filter(transaction_code=code)
            .group_by(key)
            .agg(
                pl.len().alias(count),
                pl.col("shares").sum().alias(f"shares_{side}"),
                pl.when(priced > 0).then(pl.col("total_value").sum()).alias(f"value_{side}"),
                pl.col("insider").n_unique().alias(people),
                pl.col("total_value").null_count().alias(f"unpriced_{side}"),
            )
        )
    both = sides[0].join(sides[1], on=key, how="full", coalesce=True)
    counts = ["buys", "sells", "shares_bought", "shares_sold", "buyers", "sellers", "unpriced_bought", "unpriced_sold"]
    return (
        both.with_columns(
            pl.when(pl.col("buys").is_null()).then(0.0).otherwise("value_bought").alias("value_bought"),
            pl.when(pl.col("sells").is_null()).then(0.0).otherwise("value_sold").alias("value_sold"),
        )
        .with_columns(pl.col(counts).fill_null(0))
        .select(
            *key,
            *(
                measure.alias(f"{name}{suffix}")
                for name, measure in {
                    **{name: pl.col(name) for name in MEASURES if not name.startswith(("net_", "unpriced"))},
                    "net_shares": pl.col("shares_bought") - pl.col("shares_sold"),
                    "net_value": pl.col("value_bought") - pl.col("value_sold"),
                    "unpriced": pl.col("unpriced_bought") + pl.col("unpriced_sold"),
                }.items()
            ),
        )
    )


def amended_issuers(trades: pl.DataFrame) -> list[int]:
    """CIKs of issuers that an amendment among these rows concerns: all their rows are needed to supersede."""
    return trades.filter(pl.col("form").str.ends_with("/A"))["issuer_cik"].unique().sort().to_list()
