"""What a reader of a company's filings knows at a moment: statement rows by the rules of the house, from `Books`.

It reads no vendor body, no tag and no date of a fact: it follows which quarters each filing showed, in quarter numbers.
The rules (the same that `closingbell.fundamentals.compute` documents, written a second time on purpose):
1. The newest showing of a period counts. A quarter that is not shown is a difference of year-to-date amounts: six
   months less three, nine less six, the year less nine; where one of the two changed after the other was last shown,
   and the other has not changed since, the last consistent pair stays. A difference never replaces what was shown.
   Earnings a share and share counts are never subtracted.
2. A balance stands in the Q row of its date and in the FY row where the year ends then.
3. TTM is the year where one ends, else four quarters, or the year to date and the rest of the year before (rule 1: the
   year less the same months) where one of the quarters in that rest is missing or was told earlier than the rest.
4. Ratios of a row are of its own figures; null where an input is missing or a base is not positive.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from closingbell.sandbox.simulated.companies import Company
from closingbell.sandbox.simulated.sec import tags_shares
from closingbell.sandbox.simulated.statements import Books, shown_periods

FLOWS = {
    "revenue": "income", "cost_of_revenue": "income", "gross_profit": "income", "operating_expenses": "income",
    "operating_income": "income", "interest_expense": "income", "net_income": "income", "operating_cash_flow": "cash",
    "investing_cash_flow": "cash", "financing_cash_flow": "cash", "capex": "cash", "dividends_paid": "cash",
    "pretax_income": "income", "income_tax": "income",
}  # fmt: skip
BALANCES = {
    "total_assets": "total_assets", "total_liabilities": "total_liabilities", "current_assets": "current_assets",
    "current_liabilities": "current_liabilities", "inventory": "inventory", "shareholders_equity": "equity",
    "cash_and_equivalents": "cash", "short_term_debt": "short_term_debt", "long_term_debt": "long_term_debt",
}  # fmt: skip
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
METRICS = FIGURES + RATIOS
BANKS_LACK = {
    "cost_of_revenue", "gross_profit", "operating_income", "capex", "inventory", "current_assets",
    "current_liabilities",
}  # fmt: skip

Period = tuple[int, int]  # first and last fiscal quarter
Row = dict[str, float | None]
Told = tuple[date, float]  # filing day, value


def lacks(company: Company) -> set[str]:
    """Figures that a company does not report in any form."""
    missing = set(BANKS_LACK) if company.is_bank else set()
    if not company.sector.inventory:
        missing.add("inventory")
    if not company.dividend_yield:
        missing.add("dividends_paid")
    return missing


class Shown:
    """Everything the filings accepted by a moment showed: figure -> period -> [(filing day, value)], oldest first.

    Two filings of one day count as one, the later for what both show.
    """

    def __init__(self, books: Books, as_of: datetime) -> None:
        self.books = books
        self.missing = lacks(books.company)
        self.values: dict[str, dict[Period, list[tuple[date, float]]]] = defaultdict(lambda: defaultdict(list))
        on_balance, on_cover = tags_shares(books.company)
        for filing in books.filings:
            if filing.quarter is None or filing.accepted > as_of:
                continue
            periods, at, day = shown_periods(filing), filing.accepted, filing.filed_on
            for figure, kind in FLOWS.items():
                for period in periods[kind]:
                    self._show(figure, period, day, books.flow(figure, *period, at))
            for figure, metric in BALANCES.items():
                for period in periods["balance"]:
                    self._show(figure, period, day, books.balance(metric, period[1], at))
            for period in periods["income"]:
                self._show("eps_basic", period, day, books.eps(*period, filing, diluted=False))
                self._show("eps_diluted", period, day, books.eps(*period, filing, diluted=True))
                if on_balance:
                    self._show("average_shares", period, day, books.weighted_shares(*period, day))
            for period in periods["balance"] if on_balance else ():
                end = books.company.quarter_ends[period[1]]
                self._show("shares", period, day, books.company.shares_at(end, day))
            if on_cover:
                counted = books.company.shares_at(day - timedelta(days=7), day)
                self._show("cover_shares", (filing.quarter, filing.quarter), day, counted)

    def _show(self, figure: str, period: Period, day: date, value: float) -> None:
        if figure in self.missing:
            return
        told = self.values[figure][period]
        if told and told[-1][0] == day:
            told[-1] = (day, float(value))
        else:
            told.append((day, float(value)))

    def newest(self, figure: str, period: Period) -> float | None:
        told = self.values[figure].get(period)
        return told[-1][1] if told else None

    def quarter(self, figure: str, quarter: int) -> Told | None:
        """A quarter's amount and its filing day: as shown, else as a difference."""
        if figure == "free_cash_flow":
            return _less(self.quarter("operating_cash_flow", quarter), self.quarter("capex", quarter))
        if told := self.values[figure].get((quarter, quarter)):
            return told[-1]
        first = quarter - quarter % 4
        return self._difference(figure, (first, quarter), (first, quarter - 1)) if quarter % 4 else None

    def rest(self, figure: str, first: int, number: int) -> Told | None:
        """What is left of the year that begins with quarter `first` after its quarters up to `number` (0 to 2)."""
        if figure == "free_cash_flow":
            return _less(self.rest("operating_cash_flow", first, number), self.rest("capex", first, number))
        if number == 2:
            return self.quarter(figure, first + 3)
        return self._difference(figure, (first, first + 3), (first, first + number))

    def _difference(self, figure: str, long: Period, short: Period) -> Told | None:
        """The newest consistent one, with the day it became what it is."""
        sides = [self.values[figure].get(period, []) for period in (long, short)]
        found: Told | None = None
        for day in sorted({day for side in sides for day, _ in side}):
            known = [[row for row in side if row[0] <= day] for side in sides]
            if not all(known):
                continue
            if _behind(known[0], known[1]) or _behind(known[1], known[0]):
                continue
            value = known[0][-1][1] - known[1][-1][1]
            if found is None or found[1] != value:
                found = day, value
        return found


def _less(one: Told | None, other: Told | None) -> Told | None:
    return (max(one[0], other[0]), one[1] - other[1]) if one and other else None


def _last_change(rows: list[tuple[date, float]]) -> tuple[date, date] | None:
    """The last day of a value's old showing and the day it became another; None where it never did."""
    changes = [(earlier[0], later[0]) for earlier, later in pairwise(rows) if earlier[1] != later[1]]
    return changes[-1] if changes else None


def _behind(one: list[tuple[date, float]], other: list[tuple[date, float]]) -> bool:
    """Whether `one` was restated and `other`, neither shown nor restated since, has not caught up."""
    changed, caught = _last_change(one), _last_change(other)
    if changed is None or changed[1] <= other[-1][0]:
        return False
    return caught is None or caught[1] <= changed[0]


def known_statements(books: Books, as_of: datetime) -> list[dict[str, Any]]:
    """Rows Q, FY and TTM known at `as_of`: cik, period_end, period_type, METRICS."""
    shown, company = Shown(books, as_of), books.company
    quarters: dict[int, Row] = {}
    spans: dict[Period, Row] = {}
    last = max((period[1] for told in shown.values.values() for period in told), default=-1)
    for quarter in range(last + 1):
        row: Row = {figure: told[1] if (told := shown.quarter(figure, quarter)) else None for figure in FLOWS}
        quarters[quarter] = _with_rest(shown, row, (quarter, quarter))
        number = quarter % 4
        if number:  # six months, nine months, the year
            period = (quarter - number, quarter)
            spans[period] = _with_rest(shown, {figure: shown.newest(figure, period) for figure in FLOWS}, period)
        else:
            spans[quarter, quarter] = quarters[quarter]
    rows: list[dict[str, Any]] = []
    for quarter in range(last + 1):
        kinds = {"Q": quarters[quarter], "TTM": _trailing(shown, quarters, spans, quarter)}
        if quarter % 4 == 3:
            kinds["FY"] = spans[quarter - 3, quarter]
        for kind, row in kinds.items():
            flows = any(row[figure] is not None for figure in ("revenue", "net_income", "operating_cash_flow"))
            if flows or (kind == "Q" and row["total_assets"] is not None):
                end = company.quarter_ends[quarter]
                values = {figure: row[figure] for figure in FIGURES} | _ratios(row)
                rows.append({"cik": company.cik, "period_end": end, "period_type": kind, **values})
    return rows


def _with_rest(shown: Shown, row: Row, period: Period) -> Row:
    """A row's flows with its earnings a share, the balances of its end, and what follows from them."""
    end = (period[1], period[1])
    for figure in BALANCES:
        row[figure] = shown.newest(figure, end)
    for figure in ("eps_basic", "eps_diluted"):
        row[figure] = shown.newest(figure, period)
    counts = (shown.newest("shares", end), shown.newest("cover_shares", end), shown.newest("average_shares", period))
    row["shares_outstanding"] = next((count for count in counts if count is not None), None)
    row["free_cash_flow"] = _sum([row["operating_cash_flow"], row["capex"]], [1, -1])
    return row


def _sum(values: list[float | None], signs: list[int]) -> float | None:
    """Their signed sum; null where one is missing."""
    total = 0.0
    for value, sign in zip(values, signs, strict=True):
        if value is None:
            return None
        total += sign * value
    return total


def _trailing(shown: Shown, quarters: dict[int, Row], spans: dict[Period, Row], quarter: int) -> Row:
    number = quarter % 4
    nothing: Row = {}
    year = spans.get((quarter - 3, quarter), nothing) if number == 3 else nothing
    four = [quarters.get(quarter - back, nothing) for back in range(4)]
    to_date = spans.get((quarter - number, quarter), nothing) if number < 3 else nothing
    first = quarter - number - 4  # of the year before
    row: Row = {}
    for figure in (*FLOWS, "free_cash_flow"):
        rest = shown.rest(figure, first, number) if number < 3 else None
        inside = [shown.quarter(figure, past) for past in range(first + number + 1, first + 4)]
        newer = rest and any(told is None or told[0] < rest[0] for told in inside)
        rolled = _sum([to_date.get(figure), rest and rest[1]], [1, 1])
        ways = (year.get(figure), rolled if newer else None, _sum([part.get(figure) for part in four], [1, 1, 1, 1]))
        row[figure] = next((value for value in (*ways, rolled) if value is not None), None)
    for figure in (*BALANCES, "shares_outstanding"):
        ways = (year.get(figure), four[0].get(figure), to_date.get(figure))
        row[figure] = next((value for value in ways if value is not None), None)
    for figure in ("eps_basic", "eps_diluted"):  # no fourth quarter's is ever shown, so four never add up
        row[figure] = year.get(figure)
    return row


def _over(numerator: float | None, base: float | None) -> float | None:
    return None if numerator is None or base is None or base <= 0 else numerator / base


def _ratios(row: Row) -> Row:
    debts = [row[figure] for figure in ("short_term_debt", "long_term_debt")]
    debt = None if debts == [None, None] else sum(value for value in debts if value is not None)
    pretax, tax = row["pretax_income"], row["income_tax"]
    rate: float | None = None
    if pretax is not None and pretax <= 0:
        rate = 0.0
    elif pretax is not None and tax is not None:
        rate = min(0.5, max(0.0, tax / pretax))
    after_tax = None if row["operating_income"] is None or rate is None else row["operating_income"] * (1 - rate)
    invested = _sum([debt, row["shareholders_equity"], row["cash_and_equivalents"]], [1, 1, -1])
    return {
        "gross_margin": _over(row["gross_profit"], row["revenue"]),
        "operating_margin": _over(row["operating_income"], row["revenue"]),
        "net_margin": _over(row["net_income"], row["revenue"]),
        "roe": _over(row["net_income"], row["shareholders_equity"]),
        "roa": _over(row["net_income"], row["total_assets"]),
        "roic": _over(after_tax, invested),
        "debt_to_equity": _over(debt, row["shareholders_equity"]),
        "current_ratio": _over(row["current_assets"], row["current_liabilities"]),
        "quick_ratio": _over(_sum([row["current_assets"], row["inventory"]], [1, -1]), row["current_liabilities"]),
        "interest_coverage": _over(row["operating_income"], row["interest_expense"]),
    }


__all__ = ["METRICS", "Shown", "known_statements", "lacks"]
