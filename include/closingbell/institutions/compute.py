"""13F filings to positions in dollars, and to what a day knew of who owns a company.

In: the frames of institutions.parse, market closes, the fails-to-deliver records. Out: `POSITIONS` (the rows of
institutional_holdings), the dated map of CUSIPs, and `OWNERSHIP` per security and quarter as known at a moment.
Sources: Form 13F, special instructions 8 and 9 (values: thousands until filings of 2023-01-03, dollars since) and the
cover page's amendment kinds. Everything is set-wise; a data set of 3.2 million lines passes through in batches:

    evidence = data.holdings(columns=compute.EVIDENCE)
    sums = pl.concat(compute.sums(batch, data.filings, prices) for batch in evidence)
    filings, problems = compute.units(data.filings, sums)
    named = compute.securities(cusips, filings["quarter"])
    for batch in data.holdings(): compute.positions(batch, filings, named)
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl

from closingbell.institutions.parse import FILINGS, PROBLEMS
from closingbell.universe.tickers import normal_tickers

DOLLARS_FROM = date(2023, 1, 3)
"""Filings of this day and later give values in dollars (SEC release 34-95148); earlier ones in thousands."""

CLOSE_ENOUGH = 2.0
"""A line speaks for a unit where its implied price is within this factor of the market's: a split away at most."""
SPEAKERS, MAJORITY = 3, 0.75
PEERS = 5

EVIDENCE = ("accession_no", "cusip", "reported_value", "amount", "amount_type", "put_call")
"""Columns of HOLDINGS that `sums` and `peer_prices` look at."""
SUMS: dict[str, Any] = {
    "accession_no": pl.String,
    "rows": pl.Int64,
    "reported_total": pl.Float64,
    "in_dollars": pl.Int64,
    "in_thousands": pl.Int64,
    "in_neither": pl.Int64,
}
UNITS: dict[str, Any] = {
    **FILINGS,
    "rows": pl.Int64,
    "reported_total": pl.Float64,
    "value_unit": pl.Float64,
    "unit_source": pl.String,
    "reconciled": pl.Boolean,
}
"""value_unit: dollars in one unit of the filing's values (1 or 1000). unit_source: price (the market's closes say so),
date (the rule's). reconciled: lines and their total are what the summary page declares; null where it declares none."""

POSITIONS: dict[str, Any] = {
    "accession_no": pl.String,
    "row_no": pl.Int64,
    "institution_cik": pl.Int64,
    "institution_name": pl.String,
    "form": pl.String,
    "amendment_type": pl.String,
    "quarter": pl.Date,
    "issuer_name": pl.String,
    "class_title": pl.String,
    "cusip": pl.String,
    "security_id": pl.Int64,
    "put_call": pl.String,
    "discretion": pl.String,
    "other_managers": pl.String,
    "shares": pl.Float64,
    "principal": pl.Float64,
    "market_value": pl.Float64,
    "reported_value": pl.Float64,
    "value_unit": pl.Float64,
    "filed_on": pl.Date,
    "known_at": pl.Datetime("us", "UTC"),
}
"""shares: of lines in shares, principal: of bonds. market_value: US dollars. put_call rows are options on the shares
named, not shares held. security_id: null where the CUSIP has no security."""

CUSIPS: dict[str, Any] = {"cusip": pl.String, "valid_from": pl.Date, "ticker": pl.String, "security_id": pl.Int64}

OWNERSHIP: dict[str, Any] = {
    "security_id": pl.Int64,
    "quarter": pl.Date,
    "known_at": pl.Datetime("us", "UTC"),
    "holders": pl.Int64,
    "shares": pl.Float64,
    "market_value": pl.Float64,
    "share_owned": pl.Float64,
    "put_shares": pl.Float64,
    "call_shares": pl.Float64,
    "filers": pl.Int64,
    "compared_shares": pl.Float64,
    "shares_before": pl.Float64,
    "change": pl.Float64,
    "new_positions": pl.Int64,
    "closed_positions": pl.Int64,
    "increased_positions": pl.Int64,
    "decreased_positions": pl.Int64,
}
"""known_at: of the newest filing counted. share_owned: of the shares outstanding, of the class where its count was
known, else of the whole company. filers: institutions whose report of the quarter is known (a notice is none).
compared_shares, shares_before, change and the four counts are over institutions that reported both quarters: one that
has not filed yet has not sold."""


def sums(holdings: pl.DataFrame, filings: pl.DataFrame, prices: pl.DataFrame | None = None) -> pl.DataFrame:
    """SUMS of a batch of HOLDINGS: lines, their values, and which unit the market's closes speak for, a filing.

    prices: cusip, quarter (its last day), close in dollars as traded (not adjusted). Only lines of shares held speak.
    """
    spoken = holdings.select(EVIDENCE)
    if prices is None:
        spoken = spoken.with_columns(close=pl.lit(None, dtype=pl.Float64))
    else:
        spoken = spoken.join(filings.select("accession_no", "quarter"), on="accession_no", how="left").join(
            prices.select("cusip", "quarter", "close").unique(["cusip", "quarter"], keep="any"),
            on=["cusip", "quarter"],
            how="left",
        )
    speaks = (pl.col("amount_type") == "SH") & pl.col("put_call").is_null() & (pl.col("amount") > 0)
    speaks &= (pl.col("reported_value") > 0) & (pl.col("close") > 0)
    ratio = pl.when(speaks).then(pl.col("reported_value") / pl.col("amount") / pl.col("close"))
    dollars = ratio.is_between(1 / CLOSE_ENOUGH, CLOSE_ENOUGH)
    thousands = (ratio * 1000).is_between(1 / CLOSE_ENOUGH, CLOSE_ENOUGH)
    return (
        spoken.group_by("accession_no")
        .agg(
            rows=pl.len(),
            reported_total=pl.col("reported_value").sum(),
            in_dollars=dollars.sum(),
            in_thousands=thousands.sum(),
            in_neither=(~dollars & ~thousands).sum(),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SUMS.items())
    )


def peer_prices(holdings: pl.DataFrame, filings: pl.DataFrame) -> pl.DataFrame:
    """cusip, quarter, close: the median price that at least PEERS filings imply, each in the unit its day prescribes.

    For CUSIPs that the market's closes do not cover: most filers get the unit right. Give it a whole quarter.
    """
    unit = pl.when(pl.col("filed_on") < DOLLARS_FROM).then(1000.0).otherwise(1.0)
    return (
        holdings.filter(
            pl.col("amount_type") == "SH",
            pl.col("put_call").is_null(),
            pl.col("amount") > 0,
            pl.col("reported_value") > 0,
        )
        .join(filings.select("accession_no", "quarter", "filed_on"), on="accession_no")
        .group_by("cusip", "quarter")
        .agg(close=(pl.col("reported_value") * unit / pl.col("amount")).median(), n=pl.col("accession_no").n_unique())
        .filter(pl.col("n") >= PEERS)
        .select("cusip", "quarter", "close")
    )


def units(filings: pl.DataFrame, all_sums: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """FILINGS and the SUMS of all batches -> UNITS, and what does not add up (PROBLEMS; such filings load as well).

    The market decides where at least SPEAKERS lines (or all lines of a smaller filing) speak and MAJORITY of them
    agree; else the day of filing. A restated or late filing follows its own day, not its quarter.
    """
    whole = all_sums.group_by("accession_no").agg(pl.exclude("accession_no").sum())
    said = pl.col("in_dollars") + pl.col("in_thousands") + pl.col("in_neither")
    enough = (said >= SPEAKERS) | ((said > 0) & (said == pl.col("rows")))
    by_price = (
        pl.when(enough & (pl.col("in_dollars") >= MAJORITY * said))
        .then(1.0)
        .when(enough & (pl.col("in_thousands") >= MAJORITY * said))
        .then(1000.0)
    )
    by_date = pl.when(pl.col("filed_on") < DOLLARS_FROM).then(1000.0).otherwise(1.0)
    counts = {name: pl.col(name).fill_null(0) for name in SUMS if name != "accession_no"}
    decided = (
        filings.join(whole, on="accession_no", how="left", maintain_order="left")
        .with_columns(**counts)
        .with_columns(by_price=by_price, by_date=by_date, said=said)
        .with_columns(
            value_unit=pl.coalesce("by_price", "by_date"),
            unit_source=pl.when(pl.col("by_price").is_null()).then(pl.lit("date")).otherwise(pl.lit("price")),
            # each line is rounded on its own, the total again
            off_by=(pl.col("value_total") - pl.col("reported_total")).abs() > pl.col("rows") / 2 + 1,
            miscounted=pl.col("entry_total") != pl.col("rows"),
        )
        .with_columns(reconciled=~(pl.col("off_by") | pl.col("miscounted")))
    )
    doubts = {
        "unit against the rule": (
            (pl.col("by_price") != pl.col("by_date")),
            pl.format(
                "values in units of {} dollars, by {} lines against the market; filings of {} are in units of {}",
                pl.col("value_unit").cast(pl.Int64),
                "said",
                "filed_on",
                pl.col("by_date").cast(pl.Int64),
            ),
        ),
        "unit uncertain": (
            pl.col("by_price").is_null() & (pl.col("said") > 0),
            pl.format(
                "{} lines imply prices for dollars, {} for thousands, {} for neither; taken by the day of filing",
                "in_dollars",
                "in_thousands",
                "in_neither",
            ),
        ),
        "entry total": (
            pl.col("miscounted"),
            pl.format("the summary page declares {} entries, the table has {}", "entry_total", "rows"),
        ),
        "value total": (
            pl.col("off_by"),
            pl.format(
                "the summary page declares {}, the table's values add up to {}",
                pl.col("value_total").cast(pl.Int64),
                pl.col("reported_total").cast(pl.Int64),
            ),
        ),
        "amendment without a kind": (
            pl.col("form").str.ends_with("/A") & pl.col("amendment_type").is_null() & ~_notice(),
            pl.lit("neither RESTATEMENT nor NEW HOLDINGS; it replaces, as a restatement does"),
        ),
    }
    problems = [
        decided.filter(wrong.fill_null(False)).select(problem=pl.lit(name), key="accession_no", detail=detail)
        for name, (wrong, detail) in doubts.items()
    ]
    frame = decided.select(pl.col(name).cast(dtype) for name, dtype in UNITS.items())
    return frame, pl.concat(problems).select(pl.col(name).cast(dtype) for name, dtype in PROBLEMS.items())


def _notice() -> pl.Expr:
    return pl.col("form").str.starts_with("13F-NT") | (pl.col("report_type") == "13F NOTICE")


def cusip_history(fails: pl.DataFrame, ticker_history: pl.DataFrame) -> pl.DataFrame:
    """Fails-to-deliver records -> CUSIPS: from which day a CUSIP had which ticker, and that ticker's security then.

    fails: parse.FAILS of any number of files, in any order. ticker_history: ticker (house spelling), valid_from,
    valid_to (null: still), security_id. One row a change of ticker or security, so that a re-used ticker does not lead
    a CUSIP to another company. security_id: null for tickers that are not ours.
    """
    sightings = fails.with_columns(ticker=normal_tickers(fails["symbol"])).unique(["cusip", "settled_on"], keep="first")
    owners = ticker_history.select("ticker", "security_id", "valid_from", "valid_to")
    # NSCC writes BRKB; such a spelling stands for BRK.B where no ticker has it
    bare = owners.filter(pl.col("ticker").str.contains(".", literal=True)).with_columns(
        pl.col("ticker").str.replace_all(".", "", literal=True)
    )
    owners = pl.concat([owners, bare.join(owners, on="ticker", how="anti")]).sort("valid_from")
    named = (
        sightings.sort("settled_on")
        .join_asof(owners, left_on="settled_on", right_on="valid_from", by="ticker", check_sortedness=False)
        .with_columns(
            # a ticker that its owner gave up is nobody's
            security_id=pl.when(pl.col("valid_to").is_null() | (pl.col("settled_on") <= pl.col("valid_to"))).then(
                "security_id"
            )
        )
        .sort("cusip", "settled_on")
    )
    changed = pl.any_horizontal(
        pl.col(name).ne_missing(pl.col(name).shift(1).over("cusip")) for name in ("ticker", "security_id")
    )
    first = pl.col("cusip") != pl.col("cusip").shift(1)
    return named.filter(changed | first.fill_null(True)).select(
        pl.col("cusip"),
        pl.col("settled_on").alias("valid_from").cast(pl.Date),
        "ticker",
        pl.col("security_id").cast(pl.Int64),
    )


def first_sightings(fails: pl.DataFrame) -> pl.DataFrame:
    """Of one file's FAILS, each CUSIP's first record and those under another ticker than the record before."""
    ordered = fails.unique(["cusip", "settled_on"], keep="first").sort("cusip", "settled_on")
    before = pl.col("symbol").shift(1).over("cusip")
    return ordered.filter(pl.col("symbol").ne_missing(before))


def prices_of_market(closes: pl.DataFrame, cusips: pl.DataFrame) -> pl.DataFrame:
    """cusip, quarter, close: our own closes (security_id, quarter, close) under the CUSIPs of that time (CUSIPS)."""
    named = securities(cusips, closes["quarter"])
    return named.join(closes, on=["security_id", "quarter"]).select("cusip", "quarter", "close")


def prices_of_fails(fails: pl.DataFrame) -> pl.DataFrame:
    """cusip, quarter, close: of each CUSIP the recorded close nearest to a quarter's end, a week away at most."""
    priced_on = pl.col("settled_on").dt.offset_by("-1d")
    quarter = priced_on.dt.offset_by("-4d").dt.truncate("1q").dt.offset_by("2mo").dt.month_end()
    return (
        fails.filter(pl.col("close") > 0)
        .with_columns(quarter=quarter, away=(priced_on - quarter).dt.total_days().abs())
        .filter(pl.col("away") <= 7)
        .sort("away", "settled_on")
        .group_by("cusip", "quarter", maintain_order=True)
        .agg(pl.col("close").first())
    )


def securities(cusips: pl.DataFrame, quarters: pl.Series) -> pl.DataFrame:
    """cusip, quarter, security_id: what each mapped CUSIP (CUSIPS) stood for at each of the quarters' ends.

    The security of its last sighting up to that day, else of the first one after.
    """
    dated = cusips.filter(pl.col("security_id").is_not_null()).select("cusip", "valid_from", "security_id")
    dated = dated.sort("valid_from")
    ends = pl.DataFrame({"quarter": quarters.unique().drop_nulls()})
    asked = dated.select("cusip").unique().join(ends, how="cross").sort("quarter")
    before, after = (
        asked.join_asof(
            dated, left_on="quarter", right_on="valid_from", by="cusip", strategy=way, check_sortedness=False
        )
        for way in ("backward", "forward")
    )
    both = before.join(after, on=["cusip", "quarter"], suffix="_after")
    return both.select("cusip", "quarter", security_id=pl.coalesce("security_id", "security_id_after"))


def positions(holdings: pl.DataFrame, filings: pl.DataFrame, named: pl.DataFrame | None = None) -> pl.DataFrame:
    """A batch of HOLDINGS -> POSITIONS, in the unit its filing has (UNITS), with securities as of the quarter.

    named: of `securities`. Lines of filings that `filings` lacks are left out.
    """
    known = filings.select(
        "accession_no",
        "institution_cik",
        "institution_name",
        "form",
        "amendment_type",
        "quarter",
        "value_unit",
        "filed_on",
        "known_at",
    )
    rows = holdings.join(known, on="accession_no", how="inner", maintain_order="left")
    if named is None:
        rows = rows.with_columns(security_id=pl.lit(None, dtype=pl.Int64))
    else:
        rows = rows.join(named, on=["cusip", "quarter"], how="left", maintain_order="left")
    return rows.with_columns(
        shares=pl.when(pl.col("amount_type") == "SH").then("amount"),
        principal=pl.when(pl.col("amount_type") == "PRN").then("amount"),
        market_value=pl.col("reported_value") * pl.col("value_unit"),
    ).select(pl.col(name).cast(dtype) for name, dtype in POSITIONS.items())


def unmapped(rows: pl.DataFrame) -> pl.DataFrame:
    """cusip, issuer_name, holders, market_value of positions whose CUSIP has no security, the largest first."""
    return (
        rows.filter(pl.col("security_id").is_null())
        .group_by("cusip")
        .agg(
            pl.col("issuer_name").first(),
            holders=pl.col("institution_cik").n_unique(),
            market_value=pl.col("market_value").sum(),
        )
        .sort("market_value", "cusip", descending=[True, False])
    )


def effective(filings: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The filings that make up each institution's report of each quarter, as known at a moment.

    The last filing that replaces (an original, a RESTATEMENT, an amendment without a kind, a notice), and the NEW
    HOLDINGS that came after it. An amendment whose original is not known yet stands alone. Data sets give a day's
    filings one moment: an amendment then follows what it amends, whatever their accession numbers.
    """
    key = ["institution_cik", "quarter"]
    adds = (pl.col("amendment_type") == "NEW HOLDINGS").fill_null(False)
    order = [pl.col("known_at"), pl.col("form").str.ends_with("/A"), pl.col("amendment_no"), pl.col("accession_no")]
    known = filings.filter(pl.col("known_at") <= as_of).sort(*order).with_columns(_place=pl.int_range(pl.len()))
    base = pl.col("_place").filter(~adds).max().over(key).fill_null(-1)
    return known.filter((pl.col("_place") == base) | (adds & (pl.col("_place") > base))).drop("_place")


def counted(rows: pl.DataFrame, filings: pl.DataFrame, managers: pl.DataFrame | None = None) -> pl.DataFrame:
    """POSITIONS of the effective filings, each position once.

    filings: from `effective`. What an amendment says again as NEW HOLDINGS counts once. What several filings report for
    one manager (those that include it, and its own) is compared by sums of a CUSIP's shares (puts and calls apart),
    whatever lines they are written in: each filing, its own last, counts by what goes beyond the largest before it.
    Lines shrink in proportion, or are left out. Its own combination report has what no other filing tells, and counts
    beside them.
    """
    reports = filings.filter(~_notice())
    held = _without_repeats(rows.join(reports.select("accession_no"), on="accession_no", how="semi"), reports)
    if managers is None or managers.is_empty():
        return held
    told = _told_for(reports, managers)
    if told.is_empty():
        return held
    concerned = told.select("quarter", institution_cik="manager").unique()
    named = pl.col("other_managers").is_not_null() & pl.col("accession_no").is_in(told["accession_no"].implode())
    lines = held.with_row_index("_line").with_columns(
        _amount=pl.coalesce("shares", "principal"), _is_principal=pl.col("shares").is_null()
    )
    for_others = (
        lines.filter(named)
        .with_columns(sequence=pl.col("other_managers").str.split(",").cast(pl.List(pl.Int64), strict=False))
        .explode("sequence")
        .join(told, on=["accession_no", "quarter", "sequence"])
        .unique(["_line", "manager"])
        .with_columns(_own=False)
    )
    own = (
        lines.join(concerned, on=["institution_cik", "quarter"], how="semi")
        .join(_whole(reports), on="accession_no", how="semi")
        .with_columns(manager="institution_cik", _own=True)
    )
    position = ["quarter", "manager", "cusip", "put_call", "_is_principal"]
    report = [*position, "_own", "institution_cik"]
    parts = pl.concat([part.select("_line", *report, "_amount") for part in (for_others, own)])
    before = pl.col("_amount").cum_max().shift(1).over(position)
    kept = (
        parts.group_by(report)
        .agg(pl.col("_amount").sum())
        .sort("_own", "institution_cik")
        .with_columns(_kept=pl.max_horizontal(pl.col("_amount") - before.fill_null(0.0), 0.0) / pl.col("_amount"))
    )
    # a line for several managers stays where it is new for one; what a manager reports itself may be another's as well
    share = (
        parts.join(kept.select(*report, "_kept"), on=report, nulls_equal=True)
        .group_by("_line", "_own")
        .agg(pl.col("_kept").fill_nan(1.0).max())
        .group_by("_line")
        .agg(pl.col("_kept").product())
    )
    scaled = lines.join(share, on="_line", how="left", maintain_order="left").with_columns(pl.col("_kept").fill_null(1))
    return scaled.filter(pl.col("_kept") > 0).select(
        pl.col(name) * pl.col("_kept") if name in ("shares", "principal", "market_value") else pl.col(name)
        for name in held.columns
    )


def _without_repeats(held: pl.DataFrame, reports: pl.DataFrame) -> pl.DataFrame:
    """The lines without those that an amendment says again as NEW HOLDINGS; each as often as one filing has it."""
    amended = reports.with_row_index("_place").filter(pl.len().over("institution_cik", "quarter") > 1)
    line = ["institution_cik", "quarter", "cusip", "put_call", "discretion", "other_managers", "shares", "principal"]
    lines = held.with_row_index("_line")
    again = (
        lines.join(amended.select("accession_no", "_place"), on="accession_no")
        .sort("_place", "_line")
        .with_columns(_copy=pl.int_range(pl.len()).over("accession_no", *line))
        .filter(~pl.struct(*line, "_copy").is_first_distinct())
    )
    return lines.join(again, on="_line", how="anti", maintain_order="left").drop("_line")


def _whole(reports: pl.DataFrame) -> pl.DataFrame:
    """The reports of all that their manager has. A combination report leaves out what other filings report for it."""
    return reports.filter(pl.col("report_type").ne_missing("13F COMBINATION REPORT"))


def _told_for(reports: pl.DataFrame, managers: pl.DataFrame) -> pl.DataFrame:
    """accession_no, quarter, sequence, manager (its CIK): the included managers that another filing tells of as well,
    another's or its own. Of two that include each other the first counts."""
    numbers = reports.select("quarter", "file_number", by_number="institution_cik").drop_nulls()
    included = (
        managers.filter(pl.col("included"))
        .join(reports.select("accession_no", "quarter", "institution_cik"), on="accession_no")
        .join(numbers.unique(["quarter", "file_number"]), on=["quarter", "file_number"], how="left")
        .with_columns(manager=pl.coalesce("manager_cik", "by_number"))
        .filter(pl.col("manager") != pl.col("institution_cik"))
        .select("accession_no", "quarter", "sequence", "manager", "institution_cik")
    )
    pair = ["quarter", "manager", "institution_cik"]
    back = included.select("quarter", manager="institution_cik", institution_cik="manager").unique()
    mutual = included.join(back, on=pair, how="semi").filter(pl.col("institution_cik") > pl.col("manager"))
    included = included.join(mutual, on=pair, how="anti")
    itself = _whole(reports).select("quarter", "institution_cik", manager="institution_cik")
    tellers = pl.concat([included.select(pair), itself.select(pair)]).unique()
    several = tellers.group_by("quarter", "manager").len().filter(pl.col("len") > 1)
    return included.join(several, on=["quarter", "manager"], how="semi").drop("institution_cik")


def ownership(
    rows: pl.DataFrame,
    filings: pl.DataFrame,
    *,
    quarter: date,
    as_of: datetime,
    managers: pl.DataFrame | None = None,
    shares_outstanding: pl.DataFrame | None = None,
    splits: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """OWNERSHIP of a quarter as known at `as_of`, one row a security that is held or was held the quarter before.

    rows: POSITIONS of the quarter and the one before, of all securities or some (a slice bounds memory). filings: UNITS
    (or FILINGS) of both, all of them. shares_outstanding: security_id, shares_outstanding, as known then and on the
    quarter's split basis. splits: security_id, ex_date, numerator, denominator: the quarter before is brought to the
    quarter's basis by those between the two quarter ends. A notice is no report: who turned to one has not sold.
    """
    days = pl.Series([quarter], dtype=pl.Date)
    before = days.dt.truncate("1q").dt.offset_by("-1d").item()
    standing = effective(filings.filter(pl.col("quarter").is_in([quarter, before])), as_of)
    lines = counted(rows.filter(pl.col("security_id").is_not_null()), standing, managers)
    reports = standing.filter(~_notice())
    latest = reports.group_by("institution_cik", "quarter").agg(pl.col("known_at").max().alias("filed_at"))
    filers = {day: latest.filter(quarter=day).select("institution_cik") for day in (quarter, before)}

    options = (
        lines.filter(quarter=quarter)
        .group_by("security_id")
        .agg(
            put_shares=pl.col("shares").filter(pl.col("put_call") == "put").sum(),
            call_shares=pl.col("shares").filter(pl.col("put_call") == "call").sum(),
        )
    )
    held = (
        lines.filter(pl.col("put_call").is_null(), pl.col("shares") > 0)
        .group_by("security_id", "institution_cik", "quarter")
        .agg(pl.col("shares", "market_value").sum(), pl.col("known_at").max())
    )
    now, then = held.filter(quarter=quarter), _on_basis(held.filter(quarter=before), splits, before, quarter)
    summed = now.group_by("security_id").agg(
        pl.col("known_at").max(),
        holders=pl.len(),
        shares=pl.col("shares").sum(),
        market_value=pl.col("market_value").sum(),
    )
    key = ["security_id", "institution_cik"]
    both = (
        now.select(*key, "shares")
        .join(then.select(*key, shares_before="shares"), on=key, how="full", coalesce=True)
        .join(filers[quarter], on="institution_cik", how="semi")
        .join(filers[before], on="institution_cik", how="semi")
    )
    was, is_now = pl.col("shares_before"), pl.col("shares")
    compared = both.group_by("security_id").agg(
        compared_shares=is_now.sum(),
        shares_before=was.sum(),
        change=is_now.sum() - was.sum(),
        new_positions=was.is_null().sum(),
        closed_positions=is_now.is_null().sum(),
        increased_positions=(is_now > was).sum(),
        decreased_positions=(is_now < was).sum(),
    )
    known_at = latest.filter(quarter=quarter)["filed_at"].max()
    outstanding = (
        pl.DataFrame(schema={"security_id": pl.Int64, "shares_outstanding": pl.Float64})
        if shares_outstanding is None
        else shares_outstanding.select("security_id", "shares_outstanding")
    )
    securities = pl.concat([part.select("security_id") for part in (summed, options, compared)]).unique()
    return (
        securities.join(summed, on="security_id", how="left")
        .join(options, on="security_id", how="left")
        .join(compared, on="security_id", how="left")
        .join(outstanding, on="security_id", how="left")
        .with_columns(
            pl.lit(quarter, dtype=pl.Date).alias("quarter"),
            # nobody of those who filed holds it: known, and 0
            pl.col("holders", "shares", "market_value", "put_shares", "call_shares").fill_null(0),
            pl.col("known_at").fill_null(pl.lit(known_at, dtype=pl.Datetime("us", "UTC"))),
            filers=pl.lit(filers[quarter].height),
        )
        .with_columns(
            share_owned=pl.when(pl.col("shares_outstanding") > 0).then(pl.col("shares") / pl.col("shares_outstanding"))
        )
        .sort("security_id")
        .select(pl.col(name).cast(dtype) for name, dtype in OWNERSHIP.items())
    )


def _on_basis(held: pl.DataFrame, splits: pl.DataFrame | None, after: date, until: date) -> pl.DataFrame:
    if splits is None:
        return held
    factors = (
        splits.filter(pl.col("ex_date") > after, pl.col("ex_date") <= until)
        .group_by("security_id")
        .agg(factor=pl.col("numerator").product() / pl.col("denominator").product())
    )
    return held.join(factors, on="security_id", how="left").with_columns(
        shares=pl.col("shares") * pl.col("factor").fill_null(1.0)
    )


def shares_outstanding(
    versions: pl.DataFrame, splits: pl.DataFrame | None, *, quarter: date, as_of: datetime
) -> pl.DataFrame:
    """security_id, shares_outstanding: of the newest period up to the quarter that `as_of` knew, on its basis.

    versions: security_id, period_end, known_at, shares_outstanding, counted_on (the day whose split basis they have),
    of_class. A class's own count goes before its whole company's, and one of a day after the quarter will do: vendors
    count classes from the day that somebody asks on. A class without one is divided by the company: too small a share.
    """
    known = versions.filter(pl.col("known_at") <= as_of).sort("period_end", "known_at")
    before = known.filter(pl.col("period_end") <= quarter).reverse()
    after = known.filter(pl.col("period_end") > quarter, "of_class")
    newest = pl.concat([before.filter("of_class"), after, before.filter(~pl.col("of_class"))]).unique(
        "security_id", keep="first", maintain_order=True
    )
    if splits is None or newest.is_empty():
        return newest.select("security_id", "shares_outstanding")
    ratio = pl.col("numerator") / pl.col("denominator")
    since = (pl.col("ex_date") > pl.col("counted_on")) & (pl.col("ex_date") <= quarter)
    undone = (pl.col("ex_date") <= pl.col("counted_on")) & (pl.col("ex_date") > quarter)
    factors = (
        newest.join(splits, on="security_id")
        .filter(since | undone)
        .group_by("security_id")
        .agg(factor=pl.when(since).then(ratio).otherwise(1 / ratio).product())
    )
    return newest.join(factors, on="security_id", how="left").select(
        "security_id", shares_outstanding=pl.col("shares_outstanding") * pl.col("factor").fill_null(1.0)
    )


def changed(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Rows of OWNERSHIP that say something else than those of the session before; nobody's where none is left.

    filers and known_at alone are no change: each new filing moves them for every security.
    """
    said = [name for name in OWNERSHIP if name not in ("known_at", "filers")]
    counts = ["holders", "shares", "market_value", "put_shares", "call_shares"]
    gone = before.join(now, on="security_id", how="anti").filter(pl.any_horizontal(pl.col(counts) > 0))
    nobody = gone.with_columns(
        pl.col(counts) * 0,
        pl.lit(now["filers"].max(), dtype=pl.Int64).alias("filers"),
        pl.lit(now["known_at"].max(), dtype=pl.Datetime("us", "UTC")).alias("known_at"),
        pl.col("share_owned") * 0,
        *(pl.lit(None, dtype=dtype).alias(name) for name, dtype in list(OWNERSHIP.items())[10:]),
    )
    return pl.concat([now.join(before, on=said, how="anti", nulls_equal=True), nobody.filter(pl.col("filers") > 0)])
