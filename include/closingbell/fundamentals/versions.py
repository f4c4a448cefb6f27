"""Observations -> rows and their versions: each period's figures as every filing day knew them.

In: observations (see observations.py). Out: Versions: rules 3 and 4 of `compute` (whose word counts: events.py), then
the figures of concepts.toml, without amounts that contradict others of the same version. Set-wise over all companies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from closingbell.fundamentals import events
from closingbell.fundamentals.concepts import Term, concept_map
from closingbell.fundamentals.events import (
    Ends,
    Events,
    Flags,
    Ints,
    dates,
    day_numbers,
    decided,
    last,
    new,
    with_balances,
)
from closingbell.fundamentals.observations import LENGTHS, ROW, SPAN

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
TAX = ("pretax_income", "income_tax")
VALUES = (*FIGURES, *TAX, "shares_average_diluted")

OFF_SCALE = 100
"""Share counts further apart than this are of one company in different units; splits are 50 for 1 at the most."""
FEWER = 0.85
"""A share count below this part of another of one filing is not of the same shares."""
ROUNDED_OFF = 0.01
"""A count of two digits that is off by more than this part is rounded: the sheet's words, "1.9 billion"."""

MADE_OF = (
    "revenue_reported", "cost_total", "cost_of_goods", "cost_of_services", "gross_profit_reported",
    "operating_expenses_reported", "operating_income_reported", "net_income_reported",
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """Events of every row, and what an end number stands for: cik, currency, end of each."""

    events: Events
    ends: Ends
    names: pl.DataFrame


def events_of(seen: pl.DataFrame) -> Told:
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
    stated, items = stated.take(order), items[order]
    votes = 1 + seen["amends"].to_numpy()[order].astype(np.int64)
    slips = events.turned(stated, votes) | events.unscaled(stated, votes) | events.misdated(stated, votes, ends)
    kept = ~slips
    told = decided(stated.take(kept), items[kept], np.array([kind == "flow" for kind in kinds]), ends, lengths)
    # less than nothing sold: year and nine months are told with different businesses (one was discontinued between)
    mixed = (told.less >= 0) & (told.value < 0) & (told.code == list(concept_map().kinds).index("revenue_reported"))
    told = with_balances(told.take(~mixed))
    told = told.take(np.argsort((told.row * events.ITEMS + told.code) * events.DAYS + told.day, kind="stable"))
    return Told(told, ends, seen.select("cik", "currency", "end")[one])


def _integers(column: pl.Series) -> Ints:
    return column.to_physical().cast(pl.Int64).to_numpy()


@dataclass(frozen=True)
class Versions:
    """frame: ROW and day -> all figures as known that day, start, known_at, accession, *_filed_on, version (a number),
    sorted by `row` and day. made_of: by version and item the event, -1 for none. told_on: by flow and version the day
    of the filing that told it last, 0 where nothing is known."""

    frame: pl.DataFrame
    row: Ints
    day: Ints
    made_of: npt.NDArray[np.int32]
    told_on: dict[str, Ints]


def versions_of(told: Told) -> Versions:
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
            if item.startswith(("eps_", "shares_")) or item in MADE_OF
        ],
    )
    frame = (
        _with_figures(_caught_up(_plausible(known, new(row)), new(row)))
        .with_columns(
            pl.coalesce("eps_diluted_reported_day", "eps_basic_reported_day").alias("eps_filed_on"),
            _shares_filed_on().alias("shares_filed_on"),
        )
        .select(*ROW, "day", *VALUES, "eps_filed_on", "shares_filed_on", "version", "known_at", "accession", "start")
    )
    days = filed[made_of]
    told_on = {
        figure: days[:, [items.index(item) for item in _items_of(figure)]].max(axis=1) for figure in (*FLOWS, *TAX)
    }
    return Versions(frame, row, day, made_of, told_on)


def _items_of(name: str) -> set[str]:
    """The items that a figure can be made of."""
    formulas = concept_map().figures.get(name)
    return {name} if formulas is None else {i for terms in formulas for term in terms for i in _items_of(term.name)}


def _plausible(known: pl.DataFrame, first: Flags) -> pl.DataFrame:
    """Items that contradict the statement they stand beside dropped. first: which versions begin a row.

    Costs of goods that are one of many costs: revenue less them would be no gross profit. McDonald's tags its own
    restaurants' costs so, beside those of franchised ones. They are parts where the company shows a total of all costs
    and no gross profit, and selling, administration and research explain too little of what lies between them and
    operating income, and they are the lesser half or stand beside those of franchises: Amazon's are all it sells, its
    fulfilment and technology are tags of its own. CostOfRevenue is everything by definition.
    A gross profit that leads to operating income less well than revenue less costs does (Costco's of merchandise).
    Other income that leaves something between pretax income and gross profit less running costs unexplained: pretax
    income less it and interest is operating income only where the two agree (Nike).
    What a bank of its own earns for a company that shows costs or an operating income and sells far more.
    Equity "with minority" that is far from the parent's: a part of it (Nike 2013: 274 million of 11 billion).
    A share count a hundred times off what else the row says of the shares: thousands were forgotten (`_off_scale`). A
    balance sheet's that the cover and the average (or earnings) contradict (Home Depot 2011: 1,222 million of 1,541),
    or that is rounded to two digits where the average is nearer the cover's (Disney's 1,900 million of 1,785 to 1,834);
    without one, a cover's far below them: it counts one class of several (Nike 2009). What stands beside a count in its
    own filing judges it, for as long as it stands.
    LongTermDebt, by definition with maturities, is what falls due later where the company shows no other such line, or
    where it is less than the maturities (NVIDIA, Texas Instruments).
    Debt due within a year that is far less than its maturities (they may hold leases), and debt due later that is less
    than notes due later, or is what falls due within a year told twice (Tesla 2013 to 2016). Lines of credit come to
    the debt due later where both and the maturities make LongTermDebt (Under Armour 2015).
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
        & ((costs < 0.5 * c("costs_and_expenses")) | c("franchise_costs").is_not_null())
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

    def with_cover(name: str) -> pl.Expr:  # of one filing: others may lie on another side of a split
        return pl.when(c(f"{name}_day") == c("shares_on_cover_day")).then(name)

    sheet, cover = with_cover("shares_at_date"), c("shares_on_cover")
    eps = pl.coalesce(with_cover("eps_diluted_reported"), with_cover("eps_basic_reported"))
    earnings = pl.when(eps.abs() >= 0.1).then((c("net_income_reported") / eps).abs())
    average = pl.coalesce(with_cover("shares_average"), with_cover("shares_average_diluted"), earnings)
    one_class = (cover < FEWER * average) & (cover < FEWER * pl.coalesce(earnings, average)) & sheet.is_null()
    mistaken = _far(sheet, cover) & _far(sheet, average) & ~_far(cover, average)
    two_digits = (sheet / 10.0 ** (sheet.log10().floor() - 1)) % 1 == 0
    nearer = (average - cover).abs() < (average - sheet).abs()
    rounded = two_digits & nearer & ~_far(sheet, cover) & ((sheet - cover).abs() > ROUNDED_OFF * cover)
    off = _off_scale(known)
    for name, slip in (("shares_at_date", mistaken | rounded), ("shares_on_cover", one_class)):
        off[name] |= _as_last_judged(known.select(slip.alias("slip"), name), first)
    dropped = {
        **dict.fromkeys(("cost_total", "cost_of_goods", "cost_of_services"), part),
        "gross_profit_reported": contradicted,
        "other_nonoperating": unexplained,
        "equity_with_minority": astray,
        "noninterest_income": (
            (c("revenue_reported") > 3 * (c("net_interest_income") + c("noninterest_income")))
            & (c("operating_income_reported").is_not_null() | costs.is_not_null())
        ).fill_null(False),
        "debt_current": (c("debt_current") < 0.75 * c("maturities")).fill_null(False),
        "debt_noncurrent": (
            (c("debt_noncurrent") < 0.995 * c("notes_noncurrent"))
            | ((c("debt_noncurrent") - c("maturities")).abs() < 0.0001 * c("maturities"))
        ).fill_null(False),
        **{name: pl.lit(found) for name, found in off.items()},
    }
    unsaid = c("debt_long") - c("debt_noncurrent") - c("maturities").fill_null(0.0)
    later = c("notes_noncurrent").is_null() | (c("debt_long") < c("maturities")).fill_null(False)
    return known.with_columns(pl.when(~drop).then(c(name)).alias(name) for name, drop in dropped.items()).with_columns(
        pl.coalesce(
            pl.when((unsaid - c("credit_lines")).abs() <= 0.005 * c("debt_long")).then(
                c("debt_noncurrent") + c("credit_lines")
            ),
            "debt_noncurrent",
            pl.when(later).then("debt_long"),
        ).alias("debt_noncurrent"),
        pl.coalesce("debt_long_with_maturities", "debt_long").alias("debt_long_with_maturities"),
    )


def _caught_up(known: pl.DataFrame, first: Flags) -> pl.DataFrame:
    """Costs and operating expenses that were left behind, made good from what they lie between.

    Restated revenue and gross profit leave costs behind where these are told under another tag (Nike's of 2011 by
    0000320187-13-000092) or not at all (Home Depot's quarters by the 8-K 0000354950-15-000035): they are the
    difference, where they were it when they were last told and are not any more. What the restatement does not tell
    again either, as operating income, holds where net income is told again and did not change. first: which versions
    begin a row.
    """
    c = pl.col
    costs = pl.coalesce("cost_total", _formula((Term("cost_of_goods", 1, False), Term("cost_of_services", 1, True))))
    costs_day = pl.coalesce(pl.when(c("cost_total").is_not_null()).then("cost_total_day"), "cost_of_goods_day")
    for name, value, told_on, whole, rest in (
        ("cost_total", costs, costs_day, "revenue_reported", "gross_profit_reported"),
        ("operating_expenses_reported", c("operating_expenses_reported"), c("operating_expenses_reported_day"),
         "gross_profit_reported", "operating_income_reported"),
    ):  # fmt: skip
        at = events.latest(known.select((told_on == c("day")).fill_null(False)).to_series().to_numpy(), first)
        gap = (c(whole) - c(rest) - value).abs()
        adds_up = gap <= events.ADDS_UP * c(whole).abs()
        then = known.with_columns(adds_up.alias("held"))[np.maximum(at, 0)]
        known = known.with_columns(
            then["held"].alias("held"), *(then[item].alias(f"{item}_then") for item in (rest, "net_income_reported"))
        )
        as_then = pl.all_horizontal(c(item) == c(f"{item}_then") for item in (rest, "net_income_reported"))
        rest_holds = (c(f"{rest}_day") > told_on) | ((c("net_income_reported_day") > told_on) & as_then)
        left = c("held") & (c(f"{whole}_day") > told_on) & rest_holds & ~adds_up
        known = known.with_columns(
            pl.when(left & pl.Series(at >= 0)).then(c(whole) - c(rest)).otherwise(name).alias(name)
        )
    return known


def _as_last_judged(counts: pl.DataFrame, first: Flags) -> pl.Series:
    """By version whether its count is a slip: null takes the word of the version before where the count is the same."""
    slip, count = counts["slip"], counts.to_series(1).to_numpy()
    begins = first | np.append(True, count[1:] != count[:-1])[: len(first)]
    judged = events.latest(slip.is_not_null().to_numpy(), begins)
    return pl.Series((judged >= 0) & slip.fill_null(False).to_numpy()[judged])


def _far(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    return (one < FEWER * other) | (other < FEWER * one)


def _off_scale(known: pl.DataFrame) -> dict[str, pl.Series]:
    """By share count whether it is OFF_SCALE times more or less than the middle of what a row says of its shares.

    What it says: the balance sheet's count, the cover's, the average, and net income to earnings per share. Of two that
    contradict each other the larger stands.
    """
    c = pl.col
    eps = pl.coalesce("eps_diluted_reported", "eps_basic_reported")
    said = known.select(
        pl.coalesce("shares_at_date", "shares_issued").alias("sheet"),
        c("shares_on_cover").alias("cover"),
        pl.coalesce("shares_average", "shares_average_diluted").alias("average"),
        pl.when(eps != 0).then((c("net_income_reported") / eps).abs()).alias("earnings"),
    ).to_numpy()
    said = np.sort(np.where(said > 0, said, np.nan), axis=1)  # what is not said comes last
    middle = said[np.arange(len(said)), (~np.isnan(said)).sum(axis=1) // 2]
    counts = ("shares_at_date", "shares_on_cover", "shares_issued", "shares_average", "shares_average_diluted")
    off = {}
    for name in counts:
        times = known[name].to_numpy() / middle
        off[name] = pl.Series((times >= OFF_SCALE) | ((times > 0) & (times * OFF_SCALE <= 1)))
    return off


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
