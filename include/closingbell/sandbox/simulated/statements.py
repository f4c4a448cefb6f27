"""The filings and statements of a simulated company: the generator's own variables.

Goes out: `Books` (integer quarterly flows and balances that add up) and `Filing` records (what was filed, when it was
accepted, which periods it shows). Filing dates follow the EDGAR Filer Manual, volume II: a 10-K, 10-Q or 8-K accepted
after 17:30 New York is dated the next business day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from closingbell.sandbox.simulated import companies as made
from closingbell.sandbox.simulated.companies import Company, all_sessions, new_york, session_at_or_after, stream

GRAIN = 1000  # statements are in whole thousands

FLOWS = (
    "revenue",
    "cost_of_revenue",
    "gross_profit",
    "operating_expenses",
    "research",
    "operating_income",
    "interest_expense",
    "pretax_income",
    "income_tax",
    "net_income",
    "provision",
    "depreciation",
    "operating_cash_flow",
    "investing_cash_flow",
    "financing_cash_flow",
    "capex",
    "dividends_paid",
    "buybacks",
    "cash_change",
)
BALANCES = (
    "cash",
    "receivables",
    "inventory",
    "current_assets",
    "property",
    "goodwill",
    "loans",
    "total_assets",
    "payables",
    "deposits",
    "short_term_debt",
    "long_term_debt",
    "current_liabilities",
    "total_liabilities",
    "equity",
    "retained_earnings",
)


@dataclass(frozen=True, slots=True)
class Filing:
    """One filing. `quarter` is the fiscal quarter it reports (index into the quarter ends), None for an 8-K."""

    accession_no: str
    form: str
    accepted: datetime  # UTC
    filed_on: date
    quarter: int | None
    items: str = ""

    @property
    def annual(self) -> bool:
        return self.form.startswith(("10-K", "20-F"))


@dataclass(frozen=True, slots=True)
class Mistake:
    """What filings accepted before `corrected` said too much of `quarter`, by metric, in dollars."""

    kind: str  # recast, amended_year, amended_quarter
    quarter: int
    excess: dict[str, int]
    corrected: datetime


def filing_day(accepted: datetime) -> date:
    """The filing date EDGAR gives a 10-K, 10-Q or 8-K accepted then."""
    local = accepted.astimezone(made.NEW_YORK)
    day = local.date()
    return day if (local.hour, local.minute) < (17, 31) else session_at_or_after(day + timedelta(days=1))


def _acceptance(day: date, u: float, v: float) -> datetime:
    """An acceptance moment on `day`: before the open, in the session, after the close, or past 17:30."""
    if u < 0.25:
        minute = 6 * 60 + 5 + int(v * 200)
    elif u < 0.45:
        minute = 9 * 60 + 31 + int(v * 380)
    elif u < 0.88 or not _tomorrow_is_session(day):
        minute = 16 * 60 + 1 + int(v * 88)
    else:
        minute = 17 * 60 + 32 + int(v * 200)
    return new_york(day, minute // 60, minute % 60, int(v * 6000) % 60).astimezone(UTC)


def _tomorrow_is_session(day: date) -> bool:
    return session_at_or_after(day + timedelta(days=1)) == day + timedelta(days=1)


def _filing_session(day: date) -> date:
    """The first day from `day` on that is a session and no federal holiday on which EDGAR rests."""
    while True:
        day = session_at_or_after(day)
        columbus = day.month == 10 and day.weekday() == 0 and 8 <= day.day <= 14
        if not columbus and (day.month, day.day) != (11, 11):
            return day
        day += timedelta(days=1)


def plan_filings(company: Company, year_filed: int | None = None) -> tuple[tuple[Filing, ...], tuple[Mistake, ...]]:
    """All filings, oldest first by acceptance, and the mistakes that some correct; no statement is made.

    With `year_filed`, only what is filed in that year (and the mistakes of then), at a tenth of the cost.
    """
    draw = stream(company.seed, made.FILINGS, company.index)
    ends = company.quarter_ends
    u = draw.random((80, 8)).tolist()
    fate = draw.random(4).tolist()
    annual_only = company.index == made.IFRS
    events: list[tuple[datetime, str, int | None, str]] = []
    for quarter, end in enumerate(ends):
        if year_filed and not year_filed * 12 - 12 <= end.year * 12 + end.month <= year_filed * 12 + 15:
            continue
        year_end = quarter % 4 == 3
        if annual_only and not year_end:
            continue
        lag = (52 + int(u[quarter][0] * 20)) if year_end else (26 + int(u[quarter][0] * 14))
        if annual_only:
            lag += 45
        day = _filing_session(end + timedelta(days=lag))
        if day < max(made.FIRST_FILING, company.public_since) or (company.stops_filing and day >= company.stops_filing):
            continue
        form = "20-F" if annual_only else "10-K" if year_end else "10-Q"
        accepted = _acceptance(day, u[quarter][1], u[quarter][2])
        events.append((accepted, form, quarter, ""))
        if not annual_only:
            release = _filing_session(day - timedelta(days=3 + int(u[quarter][3] * 9)))
            if release < day:
                events.append((_acceptance(release, u[quarter][4], u[quarter][5]), "8-K", None, "2.02,9.01"))
    by_quarter = {quarter: accepted for accepted, _, quarter, _ in events if quarter is not None}
    mistakes: list[Mistake] = []
    # After the year of the new revenue tag: a restatement hidden in a change of tags has no one right fourth quarter.
    year = (2023 if company.index < 20 else 2019 + int(fate[1] * 5)) - made.FIRST_FISCAL_YEAR
    kind = {made.RECAST: "recast", made.AMENDED_YEAR: "amended_year", made.AMENDED_QUARTER: "amended_quarter"}.get(
        company.index, ""
    )
    if company.index >= 20 and not company.is_bank:
        kind = (
            "recast"
            if fate[0] < 0.05
            else "amended_year"
            if fate[0] < 0.08
            else "amended_quarter"
            if fate[0] < 0.10
            else ""
        )
    size = company.revenue_2021 / 4 / GRAIN
    first = year * 4
    if kind == "recast" and first in by_quarter and first + 4 in by_quarter:
        # From the next year's first 10-Q on, last year's revenue is shown net, and a cash item has moved.
        amount, moved = round(size * 0.03) * GRAIN, round(size * 0.02) * GRAIN
        excess = {
            "revenue": amount,
            "cost_of_revenue": amount,
            "operating_cash_flow": moved,
            "investing_cash_flow": -moved,
        }
        mistakes = [Mistake(kind, q, excess, by_quarter[first + 4]) for q in range(first, first + 4)]
    elif kind == "amended_year" and first + 3 in by_quarter and first + 4 in by_quarter:
        # A 10-K/A on the day of the next 10-Q, earlier that day: a cost of the fourth quarter had not been booked.
        day = filing_day(by_quarter[first + 4])
        accepted = new_york(day, 6, 1, 17).astimezone(UTC)
        amount = round(size * 0.04) * GRAIN
        mistakes = [
            Mistake(
                kind,
                first + 3,
                {
                    "operating_expenses": -amount,
                    "operating_income": amount,
                    "pretax_income": amount,
                    "net_income": amount,
                    "equity": amount,
                    "retained_earnings": amount,
                    "total_liabilities": -amount,
                    "current_liabilities": -amount,
                },
                accepted,
            )
        ]
        events.append((accepted, "10-K/A", first + 3, ""))
    elif kind == "amended_quarter" and first + 1 in by_quarter and first + 2 in by_quarter:
        # A 10-Q/A five weeks later: sales of the second quarter had been booked too early.
        accepted = _acceptance(_filing_session(by_quarter[first + 1].date() + timedelta(days=35)), 0.6, float(fate[2]))
        amount = round(size * 0.05) * GRAIN
        mistakes = [
            Mistake(
                kind,
                first + 1,
                {
                    "revenue": amount,
                    "gross_profit": amount,
                    "operating_income": amount,
                    "pretax_income": amount,
                    "net_income": amount,
                    "receivables": amount,
                    "current_assets": amount,
                    "total_assets": amount,
                    "equity": amount,
                    "retained_earnings": amount,
                },
                accepted,
            )
        ]
        events.append((accepted, "10-Q/A", first + 1, ""))
    if company.stops_filing and company.last_session:
        day = company.last_session
        items = "1.03" if company.index == made.BANKRUPT else "2.01,3.01,5.01"
        events.append((new_york(day, 17, 5).astimezone(UTC), "8-K", None, items))
    events.sort(key=lambda event: (event[0], event[1]))
    filings: list[Filing] = []
    numbers: dict[int, int] = {}
    for accepted, form, about, items in events:
        filed_on = filing_day(accepted)
        if year_filed and filed_on.year != year_filed:
            continue
        numbers[filed_on.year] = numbers.get(filed_on.year, 0) + 1
        accession_no = f"{company.cik:010d}-{filed_on.year % 100:02d}-{numbers[filed_on.year]:06d}"
        filings.append(Filing(accession_no, form, accepted, filed_on, about, items))
    return tuple(filings), tuple(mistakes)


class Books:
    """Quarterly statements of one company, whole dollars, and what each filing showed of them.

    `true[metric][quarter]` holds a quarter's flow, or the balance at its end, as finally corrected.
    """

    def __init__(self, company: Company) -> None:
        self.company = company
        self.filings, self.mistakes = plan_filings(company)
        self.true = _bank(company) if company.is_bank else _operating(company)
        self._running = {metric: [0, *np.cumsum(self.true[metric]).tolist()] for metric in FLOWS}
        self._held = {metric: self.true[metric].tolist() for metric in BALANCES}
        self._weighted: dict[tuple[int, int, float], float] = {}

    def flow(self, metric: str, first: int, last: int, at: datetime) -> int:
        """The sum of quarters first..last as a filing accepted at `at` shows it."""
        total: int = self._running[metric][last + 1] - self._running[metric][first]
        for mistake in self.mistakes:
            if first <= mistake.quarter <= last and at < mistake.corrected:
                total += mistake.excess.get(metric, 0)
        return total

    def balance(self, metric: str, quarter: int, at: datetime) -> int:
        """The balance at a quarter's end as a filing accepted at `at` shows it."""
        total: int = self._held[metric][quarter]
        for mistake in self.mistakes:
            if quarter == mistake.quarter and at < mistake.corrected:
                total += mistake.excess.get(metric, 0)
        return total

    def weighted_shares(self, first: int, last: int, basis: date) -> float:
        """Average shares over quarters first..last, on the split basis of `basis`."""
        key = (first, last, self.company.to_basis(basis))
        if key not in self._weighted:
            middles = [self.company.quarter_ends[q] - timedelta(days=45) for q in range(first, last + 1)]
            shares = [self.company.shares_at(day, basis) for day in middles]
            self._weighted[key] = float(round(sum(shares) / len(shares)))
        return self._weighted[key]

    def diluted_shares(self, first: int, last: int, basis: date, at: datetime) -> float:
        """Weighted shares with options; a loss dilutes nothing."""
        shares = self.weighted_shares(first, last, basis)
        return float(round(shares * 1.015)) if self.flow("net_income", first, last, at) > 0 else shares

    def eps(self, first: int, last: int, filing: Filing, diluted: bool) -> float:
        """Earnings a base share as `filing` shows them: two decimals, its own split basis. A company with a ratio class
        reports by its highest class (BRK: by A shares)."""
        count = self.diluted_shares if diluted else None
        shares = (
            count(first, last, filing.filed_on, filing.accepted)
            if count
            else self.weighted_shares(first, last, filing.filed_on)
        )
        ratio = max(listing.per_base for listing in self.company.listings)
        return round(self.flow("net_income", first, last, filing.accepted) / (shares / ratio), 2)


def _noise(company: Company) -> dict[str, np.ndarray]:
    draw = stream(company.seed, made.PATH, company.index)
    count = len(company.quarter_ends)
    shocks = draw.standard_normal((80, 6))[:count]
    economy = stream(company.seed, made.MACRO).standard_normal((80, 12)) * 0.02
    cycle = np.cumsum(economy, axis=0) * 0.4
    calendar_quarter = np.array([(end - timedelta(days=45)).month - 1 for end in company.quarter_ends]) // 3
    sector = made.SECTOR_NUMBER[company.sector.name]
    years = np.array([((end - date(2021, 7, 1)).days) / 365.25 for end in company.quarter_ends])
    days = np.array([(end - company.quarter_start(q)).days + 1 for q, end in enumerate(company.quarter_ends)])
    level = company.revenue_2021 / 4 * (1 + company.growth) ** years * (days / 91.3125)
    level = (
        level
        * np.array(company.sector.season)[calendar_quarter]
        * np.exp(cycle[:count, 0] * 0.5 + cycle[:count, sector + 1] * 0.5)
    )
    return {
        "revenue": level * np.exp(0.02 * shocks[:, 0]),
        "margin": 0.012 * shocks[:, 1],
        "opex": 0.03 * shocks[:, 2],
        "capex": 0.15 * shocks[:, 3],
        "other": shocks[:, 4],
    }


def _grain(value: float) -> int:
    return round(value / GRAIN) * GRAIN


def _dividends(company: Company) -> dict[int, int]:
    return {d.quarter: _grain(d.amount * company.shares_at(d.ex_date)) for d in company.dividends}


def _operating(company: Company) -> dict[str, np.ndarray]:
    noise, count, sector = _noise(company), len(company.quarter_ends), company.sector
    out = {metric: np.zeros(count, dtype=np.int64) for metric in FLOWS + BALANCES}
    paid = _dividends(company)
    loses = company.opex > company.gross_margin
    start = float(noise["revenue"][0])
    cost = start * (1 - company.gross_margin)
    cash, receivables, inventory = _grain(start * 0.45), _grain(start * 0.55), _grain(cost * sector.inventory)
    payables, accrued = _grain(cost * 0.5), _grain(start * 0.30)
    life = 24 if sector.capex < 0.1 else 72  # quarters that property lasts
    property_ = _grain(start * max(sector.capex, 0.02) * life * 0.8)
    debt = _grain(company.debt * start * 4)
    wanted = start * 4 * (-0.35 if company.index == made.NEGATIVE_EQUITY else 0.45)
    other = 0
    goodwill = _grain(wanted - (cash + receivables + inventory + property_ - payables - accrued - debt))
    if goodwill < 0:
        goodwill, other = 0, -goodwill
    retained = _grain(start * 0.2)
    for q in range(count):
        revenue = _grain(noise["revenue"][q])
        margin = min(0.95, max(0.03, company.gross_margin + noise["margin"][q]))
        cost_q = _grain(revenue * (1 - margin))
        gross = revenue - cost_q
        opex = _grain(revenue * company.opex * np.exp(noise["opex"][q]))
        income = gross - opex
        interest = _grain(debt * 0.045 / 4)
        pretax = income - interest
        tax = _grain(pretax * 0.21) if pretax > 0 else 0
        net = pretax - tax
        depreciation = min(property_, _grain(property_ / life))
        new_receivables, new_inventory, new_payables = (
            _grain(revenue * 0.55),
            _grain(cost_q * sector.inventory),
            _grain(cost_q * 0.5),
        )
        operating = (
            net
            + depreciation
            - (new_receivables - receivables)
            - (new_inventory - inventory)
            + (new_payables - payables)
        )
        receivables, inventory, payables = new_receivables, new_inventory, new_payables
        capex = _grain(revenue * sector.capex * np.exp(noise["capex"][q]))
        dividends = paid.get(q, 0)
        floor = _grain(revenue * 0.35)
        borrowed = _grain((company.debt * revenue * 4 - debt) * 0.08)
        borrowed = max(borrowed, -_grain(debt * 0.1))
        after = cash + operating - capex - dividends + borrowed
        issued = buyback = 0
        if after < floor:
            if loses and company.index != made.BANKRUPT:
                issued = _grain(floor - after) + GRAIN
            else:
                borrowed += _grain(floor - after) + GRAIN
        elif company.index == made.NEGATIVE_EQUITY:
            buyback = max(0, min(after - floor, net + depreciation // 4))
        elif after > 4 * floor:
            buyback = _grain((after - 4 * floor) * 0.4)
        financing = borrowed + issued - dividends - buyback
        change = operating - capex + financing
        cash += change
        debt += borrowed
        property_ += capex - depreciation
        retained += net - dividends - buyback
        short = _grain(debt * 0.12)
        assets = cash + receivables + inventory + property_ + goodwill
        current = payables + accrued + short
        liabilities = payables + accrued + debt + other
        for metric, value in (
            ("revenue", revenue),
            ("cost_of_revenue", cost_q),
            ("gross_profit", gross),
            ("operating_expenses", opex),
            ("research", _grain(opex * 0.3)),
            ("operating_income", income),
            ("interest_expense", interest),
            ("pretax_income", pretax),
            ("income_tax", tax),
            ("net_income", net),
            ("depreciation", depreciation),
            ("operating_cash_flow", operating),
            ("investing_cash_flow", -capex),
            ("financing_cash_flow", financing),
            ("capex", capex),
            ("dividends_paid", dividends),
            ("buybacks", buyback),
            ("cash_change", change),
            ("cash", cash),
            ("receivables", receivables),
            ("inventory", inventory),
            ("current_assets", cash + receivables + inventory),
            ("property", property_),
            ("goodwill", goodwill),
            ("total_assets", assets),
            ("payables", payables),
            ("short_term_debt", short),
            ("long_term_debt", debt - short),
            ("current_liabilities", current),
            ("total_liabilities", liabilities),
            ("equity", assets - liabilities),
            ("retained_earnings", retained),
        ):
            out[metric][q] = value
    return out


def _bank(company: Company) -> dict[str, np.ndarray]:
    noise, count = _noise(company), len(company.quarter_ends)
    out = {metric: np.zeros(count, dtype=np.int64) for metric in FLOWS + BALANCES}
    paid = _dividends(company)
    start = float(noise["revenue"][0])
    loans, cash = _grain(start * 70), _grain(start * 12)
    debt, deposits = _grain(company.debt * start * 4), _grain(start * 66)
    retained = _grain(start)
    for q in range(count):
        revenue = _grain(noise["revenue"][q])
        interest = _grain((deposits * 0.012 + debt * 0.04) / 4)
        provision = _grain(revenue * (0.06 + 0.02 * abs(noise["other"][q])))
        expenses = _grain(revenue * company.opex * np.exp(noise["opex"][q]))
        pretax = revenue - provision - expenses
        tax = _grain(pretax * 0.21) if pretax > 0 else 0
        net = pretax - tax
        operating = net + provision
        grown = _grain(revenue * 70) - loans
        investing = -(grown + provision)
        dividends = paid.get(q, 0)
        taken, borrowed = _grain(revenue * 66) - deposits, _grain(company.debt * revenue * 4) - debt
        buyback = max(0, _grain((net - dividends) * 0.5))
        floor = _grain(revenue * 6)
        after = cash + operating + investing + taken + borrowed - dividends - buyback
        if after < floor:
            borrowed += floor - after
        elif after > 4 * floor:
            borrowed -= min(_grain(after - 4 * floor), debt + borrowed - _grain(company.debt * revenue))
        financing = taken + borrowed - dividends - buyback
        change = operating + investing + financing
        cash, loans, deposits, debt = cash + change, loans + grown, deposits + taken, debt + borrowed
        retained += net - dividends - buyback
        short = _grain(debt * 0.2)
        assets, liabilities = cash + loans, deposits + debt
        for metric, value in (
            ("revenue", revenue),
            ("operating_expenses", expenses),
            ("interest_expense", interest),
            ("pretax_income", pretax),
            ("income_tax", tax),
            ("net_income", net),
            ("provision", provision),
            ("operating_cash_flow", operating),
            ("investing_cash_flow", investing),
            ("financing_cash_flow", financing),
            ("dividends_paid", dividends),
            ("buybacks", buyback),
            ("cash_change", change),
            ("cash", cash),
            ("loans", loans),
            ("deposits", deposits),
            ("total_assets", assets),
            ("short_term_debt", short),
            ("long_term_debt", debt - short),
            ("total_liabilities", liabilities),
            ("equity", assets - liabilities),
            ("retained_earnings", retained),
        ):
            out[metric][q] = value
    return out


def shown_periods(filing: Filing) -> dict[str, list[tuple[int, int]]]:
    """The periods a filing shows, as (first, last) fiscal quarters: income, cash (flows) and balance (last only).

    A 10-Q shows the quarter and the year to date with last year's, cash flows by year to date only, balances of now and
    of the last year's end; a 10-K shows three years and two year ends, and no fourth quarter.
    """
    q = filing.quarter
    if q is None:
        return {"income": [], "cash": [], "balance": []}
    number = q % 4
    if filing.annual:
        years = [(q - 3 - 4 * back, q - 4 * back) for back in (0, 1, 2) if q - 3 - 4 * back >= 0]
        return {"income": years, "cash": years, "balance": [(e, e) for e in (q, q - 4) if e >= 0]}
    year_to_date = [(q - number, q), (q - number - 4, q - 4)]
    quarters = [(q, q), (q - 4, q - 4)]
    income = quarters if number == 0 else quarters + year_to_date
    return {
        "income": [p for p in income if p[0] >= 0],
        "cash": [p for p in year_to_date if p[0] >= 0],
        "balance": [(e, e) for e in (q, q - number - 1) if e >= 0],
    }


__all__ = [
    "BALANCES",
    "FLOWS",
    "Books",
    "Filing",
    "Mistake",
    "all_sessions",
    "filing_day",
    "plan_filings",
    "shown_periods",
]
