"""Which filing's word counts: what every item of every statement row is from each filing day on.

Everything here is arrays of integers, sorted by one packed key at a time: a table with six keys, windows over four of
them, takes a multiple of the time. A `row` is end number x SPANS + span, an end being a company's and currency's period
end in order; days are numbers since 1790 (`DAY_ZERO`), 0 where there is none; moments are microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

QUARTER, YEAR, INSTANT = 0, 3, 4
SPANS = 8  # room for Q, H, N, Y, I
ITEMS = 64
TAGS = 512
RANKS = 64
DAYS = 1 << 17
DAY_ZERO = 1 << 16
LAST_RANK = RANKS - 1
SAME_DIGITS = 0.001
YEAR_DAYS = 380
ADDS_UP = 0.005
"""Of the largest of three amounts: two that leave less of the third unexplained add up to it."""


@dataclass
class Columns:
    """Arrays of one length."""

    def take(self, which: Any) -> Self:
        """The elements at indices, or where a mask holds."""
        return type(self)(**{field.name: getattr(self, field.name)[which] for field in fields(self)})

    def plus(self, *others: Self) -> Self:
        return type(self)(
            **{f.name: np.concatenate([getattr(part, f.name) for part in (self, *others)]) for f in fields(self)}
        )

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))


@dataclass
class Events(Columns):
    """`code` is the tag of an amount, later its item. source, less: the filings (numbers) whose amounts make it, less
    -1 where it is stated and not a difference. accession, known: of the filing that brought it."""

    row: Ints
    code: Ints
    rank: Ints
    day: Ints
    start: Ints
    value: npt.NDArray[np.float64]
    source: Ints
    less: Ints
    accession: Ints
    known: Ints


@dataclass
class Ends(Columns):
    """By end number: the company (a number for CIK and currency) and the day."""

    company: Ints
    day: Ints


def day_numbers(days: pl.Series) -> Ints:
    """Dates as day numbers, 0 for null."""
    return (days.to_physical().cast(pl.Int64) + DAY_ZERO).fill_null(0).to_numpy()


def dates(numbers: Ints) -> pl.Series:
    """Day numbers as dates, null for 0."""
    shifted = pl.Series(np.asarray(numbers, dtype=np.int64) - DAY_ZERO, dtype=pl.Int32)
    return shifted.set(shifted == -DAY_ZERO, None).cast(pl.Date)


def decided(stated: Events, items: Ints, is_flow: Flags, ends: Ends, lengths: Flags) -> Events:
    """One event a row, item and day; `code` is the item.

    stated: amounts, `code` the tag; items: the item of each. is_flow: by item. lengths: which numbers of days are a
    quarter's. Of an item's tags each filing's own best counts; a part never replaces a total known before, nor a
    difference what was stated, but a fourth quarter told before both its year and its nine months were recast (no
    report states it again). Differences are those of one tag; until there is one, of the item, where its tag changed
    within a year.
    """
    company = ends.company[stated.row // SPANS]
    own_tag = stated.take(_firsts((stated.row * TAGS + stated.code) * DAYS + stated.day, is_flow[items]))
    by_tag, recast_on = differences(own_tag, ends, lengths)
    tags, meanings = _meanings(stated, items)
    which, of = _matches(by_tag.code, tags)
    by_tag, recast_on = by_tag.take(which), recast_on[which]
    by_tag.code, by_tag.rank = meanings[of, 0], meanings[of, 1]

    lead_of = (company * DAYS + stated.day) * ITEMS + items
    order = np.argsort(lead_of * RANKS + stated.rank)
    lead_of, leads = lead_of[order], stated.rank[order]
    told = replace(stated, code=items).plus(by_tag)
    asked = (ends.company[told.row // SPANS] * DAYS + told.day) * ITEMS + told.code
    part = told.rank > leads[np.searchsorted(lead_of, asked)]
    events = _chosen(told, part, np.concatenate([np.zeros(len(stated), dtype=np.int64), recast_on]))

    is_rest = (events.less >= 0) & (events.row % SPANS != QUARTER)
    by_item, _ = differences(events.take(is_flow[events.code] & ~is_rest), ends, lengths)
    first = new(events.row * ITEMS + events.code)
    known, since = (events.row * ITEMS + events.code)[first], events.day[first]
    wanted = by_item.row * ITEMS + by_item.code
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1) if len(known) else np.zeros(0, np.int64)
    lacking = by_item.take((known[at] != wanted) | (by_item.day < since[at]))
    lacking = lacking.take(_firsts((lacking.row * ITEMS + lacking.code) * DAYS + lacking.day))
    lacking.rank = np.full(len(lacking), LAST_RANK, dtype=np.int64)
    return events.plus(lacking)


def unscaled(stated: Events, votes: Ints) -> Flags:
    """Which amounts differ from earlier ones under the same tag by the scale alone, and are outvoted: slips.

    Apple's 899,213,000 shares of 2013-09-28 are 899,213 in 0001193125-14-157311. Each filing has a vote, an amendment
    two; where as many say one scale as the other, the larger holds: thousands get forgotten, not invented.
    """
    series = stated.row * TAGS + stated.code
    order = np.argsort(series * DAYS + stated.day, kind="stable")
    series, size = series[order], np.abs(stated.value[order])
    begins = np.flatnonzero(new(series))
    sizes = np.diff(np.append(begins, len(series)))
    most = np.maximum.reduceat(size, begins) if len(begins) else size
    least = np.minimum.reduceat(np.where(size > 0, size, np.inf), begins) if len(begins) else size
    found = np.zeros(len(stated), dtype=np.bool_)
    for begin, many in zip(begins[most >= 999 * least], sizes[most >= 999 * least], strict=True):
        for at in range(begin + 1, begin + many):
            before, voted = size[begin : at + 1], votes[order[begin : at + 1]]
            times = before / (size[at] or np.inf)
            alike = [np.abs(times / scale - 1) < SAME_DIGITS for scale in (1, 1e3, 1e6, 1e-3, 1e-6)]
            own, larger, smaller = (voted[a].sum() for a in (alike[0], alike[1] | alike[2], alike[3] | alike[4]))
            found[order[at]] = larger >= own if larger else smaller > own
    return found


def turned(stated: Events, votes: Ints) -> Flags:
    """Which amounts are the negative of an earlier one under the same tag, and are outvoted: slips, no restatement.

    McDonald's equity of 2018-03-31, twice -4,718.8 million, is 4,718.8 in 0000063908-19-000062. Each filing has a vote,
    an amendment two; of as many the sign that was stated first holds. A filing that turns all it repeats under a tag,
    two amounts at least, changes its signs, and counts (Walmart's income tax in 0001193125-12-134679).
    """
    found = np.zeros(len(stated), dtype=np.bool_)
    series = stated.row * TAGS + stated.code
    at = np.flatnonzero(np.isin(series, np.intersect1d(series[stated.value < 0], series[stated.value > 0])))
    size = np.abs(stated.value[at])
    order = np.lexsort((stated.day[at], size, series[at]))
    at, size = at[order], size[order]
    first = new(series[at]) | new(size)
    begins = np.maximum.accumulate(np.where(first, np.arange(len(at)), 0))
    other_sign = stated.value[at] * stated.value[at[begins]] < 0

    def cast(which: Flags) -> Ints:
        sums = np.cumsum(np.where(which, votes[at], 0))
        return sums - (sums - np.where(which, votes[at], 0))[begins]

    as_first, as_other = cast(~other_sign), cast(other_sign)
    found[at] = np.where(other_sign, as_first >= as_other, as_other > as_first)
    if not found.any():
        return found
    # by filing and tag: how many amounts it repeats, how many of them it turns
    filing = stated.accession * TAGS + stated.code
    told = np.flatnonzero(np.isin(filing, filing[found]))
    known = np.flatnonzero(np.isin(series, series[told]))
    known = known[np.lexsort((stated.day[known], series[known]))]
    begins = known[new(series[known])]  # sorted by series
    told = told[stated.day[begins[np.searchsorted(series[begins], series[told])]] < stated.day[told]]
    pairs = np.unique(np.stack([filing[told], series[told], found[told]]), axis=1)
    filings, of = np.unique(pairs[0], return_inverse=True)
    repeats, turns = np.bincount(of), np.bincount(of, weights=pairs[2])
    return found & ~np.isin(filing, filings[(turns == repeats) & (repeats > 1)])


def misdated(stated: Events, votes: Ints, ends: Ends) -> Flags:
    """Which amounts are what an earlier filing gave a neighbouring period, against as many filings at least: slips.

    Home Depot's cash of 2015-02-01, 1,723 million in eleven filings, is that of 2016-01-31 in 0000354950-19-000010;
    SunEdison's nine months of 2011 are given to the half too by 0000945436-12-000174. A neighbour ends within a year,
    or begins or ends on the same day. Votes are those of `turned`; amounts of three digits may be equal by chance, but
    not those that one filing gives a year to date and the longer one that holds it (-52.3 million of operating income
    there, the half's being 51.5).
    """
    found = np.zeros(len(stated), dtype=np.bool_)
    series = stated.row * TAGS + stated.code
    amount = np.unique(stated.value, return_inverse=True)[1]
    order = np.lexsort((stated.day, series))

    def cast(by: Ints, first: Flags) -> Ints:
        sums = np.cumsum(votes[by])
        begins = np.maximum.accumulate(np.where(first, np.arange(len(by)), 0))
        so_far = np.empty(len(by), dtype=np.int64)
        so_far[by] = sums - (sums - votes[by])[begins]
        return so_far

    of_all = cast(order, new(series[order]))
    order = np.lexsort((stated.day, amount, series))
    own = cast(order, new(series[order]) | new(amount[order]))
    size = np.abs(stated.value)
    asked = np.flatnonzero((of_all - own >= own) & (size > 0))
    company = ends.company[stated.row // SPANS]
    tag = company * TAGS + stated.code
    order = np.lexsort((amount, tag))
    number = np.empty(len(stated), dtype=np.int64)
    number[order] = np.cumsum(new(tag[order]) | new(amount[order]))
    which, at = _matches(number[asked], number[order])
    one, other = asked[which], order[at]
    apart = np.abs(ends.day[stated.row[one] // SPANS] - ends.day[stated.row[other] // SPANS])
    alike = stated.row[one] % SPANS == stated.row[other] % SPANS
    dated = stated.row[one] % SPANS == INSTANT
    near = (alike & (apart <= YEAR_DAYS)) | (~dated & ((apart == 0) | (stated.start[one] == stated.start[other])))
    exact = np.round(size[one] / 10 ** (np.floor(np.log10(size[one])) - 2), 9) % 1 != 0
    by_another = (stated.row[one] != stated.row[other]) & (stated.day[other] < stated.day[one]) & near & exact
    held = ~dated & (stated.start[one] == stated.start[other]) & (stated.row[one] < stated.row[other])
    found[one[by_another | (held & (stated.accession[one] == stated.accession[other]))]] = True
    return found


def differences(amounts: Events, ends: Ends, lengths: Flags) -> tuple[Events, Ints]:
    """Differences of year-to-date amounts of one code, an event a day on which the value changes.

    Quarters, and the rest of a year after its first quarter or half: nine or six months that end with it. Where one of
    the two was restated after the other was last filed, and the other not yet, nothing new is told; a restatement that
    a filing before implied (`_unsaid_restatements`) is of that filing's day. Beside each fourth quarter the day from
    which both its amounts are what they are, 0 beside the others.
    """
    amounts = amounts.take(np.argsort((amounts.row * TAGS + amounts.code) * DAYS + amounts.day, kind="stable"))
    series = amounts.row * TAGS + amounts.code
    first = new(series)
    restated = ~first
    restated[1:] &= amounts.value[1:] != amounts.value[:-1]
    change = latest(restated, first)
    restated_on = np.where(change >= 0, amounts.day[change], 0)
    old_until = np.where(change >= 0, amounts.day[np.maximum(change - 1, 0)], 0)
    since = amounts.day[latest(restated | first, first)]

    period_of = series * DAYS + amounts.start
    order = np.argsort(period_of, kind="stable")  # by day within a period
    amounts, period_of = amounts.take(order), period_of[order]
    restated_on, old_until, since = restated_on[order], old_until[order], since[order]
    begins = np.flatnonzero(new(period_of))
    stops = np.append(begins[1:], len(period_of))
    long, short = _pairs(amounts.take(begins), ends, lengths)

    sides, owners, places = [], [], []
    for number, periods in enumerate((long, short)):
        of, at = ranges(begins[periods], stops[periods])
        sides.append(np.full(len(of), number))
        owners.append(of)
        places.append(at)
    side, pair, place = np.concatenate(sides), np.concatenate(owners), np.concatenate(places)
    when = pair * DAYS + amounts.day[place]
    order = np.lexsort((amounts.known[place], when))
    side, pair, place, when = side[order], pair[order], place[order], when[order]
    first = new(pair)
    at_long, at_short = latest(side == 0, first), latest(side == 1, first)
    told = last(when) & (at_long >= 0) & (at_short >= 0)
    a, b, place, pair = place[at_long[told]], place[at_short[told]], place[told], pair[told]
    restated_on = _basis_since(amounts, restated_on, old_until, _unsaid_restatements(amounts, a, b, pair, long, short))

    def on_one_basis(one: Ints, other: Ints) -> Flags:
        # restated, it has the other with it: filed since, or restated since the old value
        caught = (restated_on[one] <= amounts.day[other]) | (restated_on[other] > old_until[one])
        return (restated_on[one] == 0) | caught

    sound = on_one_basis(a, b) & on_one_basis(b, a)
    a, b, place, pair = a[sound], b[sound], place[sound], pair[sound]
    value = amounts.value[a] - amounts.value[b]
    changed = new(pair)
    changed[1:] |= value[1:] != value[:-1]
    a, b, place, value = a[changed], b[changed], place[changed], value[changed]
    of_year = amounts.row[a] % SPANS == YEAR
    fourth = of_year & (amounts.row[b] % SPANS == YEAR - 1)
    made = Events(
        row=amounts.row[a] // SPANS * SPANS + np.where(of_year, YEAR - 1 - amounts.row[b] % SPANS, QUARTER),
        code=amounts.code[a],
        rank=amounts.rank[a],
        day=amounts.day[place],
        start=ends.day[amounts.row[b] // SPANS] + 1,
        value=value,
        source=amounts.source[a],
        less=amounts.source[b],
        accession=amounts.accession[place],
        known=amounts.known[place],
    )
    return made, np.where(fourth, np.minimum(since[a], since[b]), 0)


def _unsaid_restatements(amounts: Events, a: Ints, b: Ints, pair: Ints, long: Ints, short: Ints) -> Ints:
    """Sorted period * DAYS + day of filings that restate a period without stating it, periods numbered as in `amounts`.

    Such a filing's amount to date (a) less the quarter that it states is not what was known before (b): b's period, or
    what it holds, was restated. SunEdison's nine months of 2012 are -138.8 million, the third quarter 37.0, both in
    0000945436-12-000174, after a half of -153.3: the year's -150.6 million has no basis in common with the first
    quarter of then, but with that which 0000945436-13-000051 restates.
    """
    quarters = (amounts.row * TAGS + amounts.code) * DAYS + amounts.day
    order = np.argsort(quarters, kind="stable")
    order = order[(amounts.row[order] % SPANS == QUARTER) & (amounts.less[order] < 0)]
    asked = ((amounts.row[a] // SPANS * SPANS + QUARTER) * TAGS + amounts.code[a]) * DAYS + amounts.day[a]
    one_quarter = (amounts.row[a] % SPANS != YEAR) | (amounts.row[b] % SPANS == YEAR - 1)
    which, at = _matches(np.where(one_quarter & (amounts.day[b] < amounts.day[a]), asked, -1), quarters[order])
    sums = np.stack([amounts.value[a[which]], -amounts.value[b[which]], -amounts.value[order[at]]])
    which = which[np.abs(sums.sum(axis=0)) > ADDS_UP * np.abs(sums).max(axis=0, initial=0)]
    found = np.unique(short[pair[which]] * DAYS + amounts.day[a[which]])
    for _ in range(QUARTER, YEAR - 1):  # of nine months the half, of the half the quarter
        held_by = np.argsort(long, kind="stable")
        which, at = _matches(found // DAYS, long[held_by])
        found = np.unique(np.concatenate([found, short[held_by[at]] * DAYS + found[which] % DAYS]))
    return found


def _basis_since(amounts: Events, restated_on: Ints, old_until: Ints, unsaid: Ints) -> Ints:
    """restated_on, or the last day between the old value and it on which it was restated without being stated."""
    period = np.cumsum(new((amounts.row * TAGS + amounts.code) * DAYS + amounts.start)) - 1
    before = np.searchsorted(unsaid, period * DAYS + restated_on) - 1
    day = np.where(before >= 0, np.append(unsaid, 0)[before] - period * DAYS, 0)
    return np.where((restated_on > 0) & (day > old_until), day, restated_on)


def with_balances(events: Events) -> Events:
    """Events with those of a date repeated in every row that ends then; they make a quarter's row alone."""
    dated = events.row % SPANS == INSTANT
    amounts, balances = events.take(~dated), events.take(dated)
    made = [amounts]
    rows = np.unique(amounts.row[(amounts.less < 0) | (amounts.row % SPANS == QUARTER)])
    for span in range(QUARTER, YEAR + 1):
        row = balances.row // SPANS * SPANS + span
        stands = np.isin(row, rows) if span != QUARTER else np.ones(len(row), dtype=np.bool_)
        copies = balances.take(stands)
        copies.row = row[stands]
        made.append(copies)
    return made[0].plus(*made[1:])


def new(keys: Ints) -> Flags:
    """Which of sorted keys differ from the one before."""
    found = np.ones(len(keys), dtype=np.bool_)
    found[1:] = keys[1:] != keys[:-1]
    return found


def last(keys: Ints) -> Flags:
    """Which of sorted keys differ from the one after."""
    found = np.ones(len(keys), dtype=np.bool_)
    found[:-1] = keys[1:] != keys[:-1]
    return found


def latest(is_one: Flags, first: Flags) -> Ints:
    """For each place the last place up to it where `is_one` holds, of the same group (begun by `first`); else -1."""
    places = np.arange(len(first))
    begins = np.maximum.accumulate(np.where(first, places, 0))
    found = np.maximum.accumulate(np.where(is_one, places, -1))
    return np.where(found >= begins, found, -1)


def _firsts(keys: Ints, among: Flags | None = None) -> Ints:
    """Indices of the first of each key."""
    places = np.arange(len(keys)) if among is None else np.flatnonzero(among)
    places = places[np.argsort(keys[places], kind="stable")]
    return places[new(keys[places])]


def ranges(begins: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Ranges one after the other: which range, and its members."""
    sizes = stops - begins
    owner = np.repeat(np.arange(len(begins)), sizes)
    before = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return owner, np.arange(len(owner)) - before + begins[owner]


def _matches(asked: Ints, keys: Ints) -> tuple[Ints, Ints]:
    """Pairs (index in asked, index in sorted keys) of equal ones."""
    return ranges(np.searchsorted(keys, asked), np.searchsorted(keys, asked, side="right"))


def _meanings(stated: Events, items: Ints) -> tuple[Ints, Ints]:
    """Tags, sorted, one for each item they stand for; and that item with the tag's rank in it."""
    found = np.unique((stated.code * ITEMS + items) * RANKS + stated.rank)
    return found // (ITEMS * RANKS), np.stack([found // RANKS % ITEMS, found % RANKS], axis=1)


def _pairs(periods: Events, ends: Ends, lengths: Flags) -> tuple[Ints, Ints]:
    """Periods of one code that begin together, a quarter apart or one of them a year: the longer, the shorter."""
    end = ends.day[periods.row // SPANS]
    family = (ends.company[periods.row // SPANS] * TAGS + periods.code) * DAYS + periods.start
    order = np.lexsort((end, family))
    family, end, span = family[order], end[order], (periods.row % SPANS)[order]
    longs, shorts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for ahead in range(1, len(order)):
        near = family[ahead:] == family[:-ahead]
        if not near.any():
            break
        apart = np.clip(end[ahead:] - end[:-ahead], 0, len(lengths) - 1)
        long, short = span[ahead:], span[:-ahead]
        rest = (long == YEAR) & (short < YEAR - 1)
        fits = near & (rest | (lengths[apart] & (long != QUARTER) & (short != YEAR)))
        shorts.append(order[:-ahead][fits])
        longs.append(order[ahead:][fits])
    return np.concatenate(longs), np.concatenate(shorts)


def _chosen(told: Events, part: Flags, recast_on: Ints) -> Events:
    """One event a row, item and day, in that order: no part where a total, no difference where a statement is known.

    recast_on: by difference the day from which it tells more than a statement before.
    """
    keys = (told.row * ITEMS + told.code) * DAYS + told.day
    order = np.argsort(((keys * 2 + part) * RANKS + told.rank) * 2 + (told.less >= 0), kind="stable")
    order = order[new(keys[order])]
    told, part, recast_on = told.take(order), part[order], recast_on[order]
    first, stated = new(told.row * ITEMS + told.code), told.less < 0
    total_before, before = latest(~part, first) >= 0, latest(~part & stated, first)
    outdated = (before < 0) | (told.day[before] < recast_on)
    return told.take((~part | ~total_before) & (stated | outdated))
