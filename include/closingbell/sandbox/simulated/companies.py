"""The companies of the simulated market: names, sectors, listings, fiscal calendars, splits and dividends.

Comes in: a seed and a company's index. Goes out: `Company` and `Listing` records, the same for every size of market
that holds the index. The first twenty companies play the special roles of `ROLE_SECTOR`; the others are drawn from
their sector's economics. Dates are New York days. Nothing here is a real company: CIKs start at 9,000,000.
"""

from __future__ import annotations

import calendar as month_calendar
import itertools
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property

import numpy as np

from closingbell.sessions import NEW_YORK, sessions_between

FIRST_SESSION, LAST_SESSION = date(2022, 1, 3), date(2025, 12, 5)
FIRST_FILING = date(2014, 1, 1)
LISTED_SINCE = date(2009, 6, 1)  # of those that trade when the price history begins
FIRST_FISCAL_YEAR = 2011  # comparatives of the first filings need the years before them
LAST_PERIOD_END = date(2025, 12, 31)

# Purposes key the random streams: a new one never moves the numbers of another.
NAMES, ECONOMICS, PATH, FILINGS, FACTORS, BARS, PROVISIONAL, CLASSES, MACRO = range(9)


def stream(seed: int, purpose: int, index: int = 0) -> np.random.Generator:
    """The random stream of (seed, purpose, index); the same in every process and on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, purpose, index])))


@dataclass(frozen=True, slots=True)
class Sector:
    """A GICS sector's economics, as fractions of revenue where not said otherwise."""

    name: str
    sub_industry: str
    sic: int
    sic_description: str
    noun: str
    gross_margin: float
    opex: float
    growth: float  # a year
    capex: float
    debt: float  # of a year's revenue
    inventory: float  # of a quarter's cost; 0: none is reported
    price_to_sales: float
    dividend_yield: float  # a year
    volatility: float  # a session, idiosyncratic
    season: tuple[float, float, float, float]  # calendar quarters


SECTORS = (
    Sector("Information Technology", "Application Software", 7372, "Services-Prepackaged Software", "Technologies",
           0.64, 0.42, 0.11, 0.04, 0.25, 0.25, 5.0, 0.008, 0.020, (0.96, 0.98, 1.00, 1.06)),
    Sector("Financials", "Regional Banks", 6022, "State Commercial Banks", "Bancorp",
           0.00, 0.58, 0.05, 0.00, 1.50, 0.00, 2.6, 0.030, 0.014, (1.00, 1.00, 1.00, 1.00)),
    Sector("Health Care", "Health Care Equipment", 3841, "Surgical & Medical Instruments & Apparatus", "Medical",
           0.58, 0.40, 0.08, 0.05, 0.45, 0.80, 3.6, 0.010, 0.017, (0.98, 1.00, 1.00, 1.02)),
    Sector("Consumer Discretionary", "Apparel Retail", 5651, "Retail-Family Clothing Stores", "Outfitters",
           0.39, 0.29, 0.05, 0.04, 0.40, 0.95, 1.2, 0.014, 0.020, (0.88, 0.96, 0.98, 1.18)),
    Sector("Communication Services", "Broadcasting", 4833, "Television Broadcasting Stations", "Media",
           0.48, 0.30, 0.04, 0.07, 0.90, 0.00, 2.2, 0.012, 0.018, (0.97, 0.99, 0.98, 1.06)),
    Sector("Industrials", "Industrial Machinery", 3560, "General Industrial Machinery & Equipment", "Industries",
           0.34, 0.19, 0.05, 0.04, 0.45, 0.75, 2.0, 0.016, 0.015, (0.96, 1.01, 1.01, 1.02)),
    Sector("Consumer Staples", "Packaged Foods & Meats", 2000, "Food and Kindred Products", "Foods",
           0.31, 0.18, 0.03, 0.04, 0.50, 0.70, 1.5, 0.026, 0.011, (0.97, 0.99, 1.00, 1.04)),
    Sector("Energy", "Oil & Gas Exploration & Production", 1311, "Crude Petroleum & Natural Gas", "Petroleum",
           0.45, 0.24, 0.04, 0.16, 0.70, 0.15, 1.6, 0.032, 0.021, (1.04, 0.97, 0.97, 1.02)),
    Sector("Utilities", "Electric Utilities", 4911, "Electric Services", "Power",
           0.47, 0.25, 0.03, 0.26, 2.30, 0.20, 2.3, 0.036, 0.010, (1.08, 0.92, 1.05, 0.95)),
    Sector("Real Estate", "Office REITs", 6798, "Real Estate Investment Trusts", "Properties",
           0.63, 0.28, 0.05, 0.22, 2.60, 0.00, 6.0, 0.030, 0.014, (1.00, 1.00, 1.00, 1.00)),
    Sector("Materials", "Specialty Chemicals", 2860, "Industrial Organic Chemicals", "Chemical",
           0.30, 0.15, 0.04, 0.07, 0.55, 0.80, 1.7, 0.020, 0.016, (0.96, 1.04, 1.02, 0.98)),
)  # fmt: skip
SECTOR_NUMBER = {sector.name: number for number, sector in enumerate(SECTORS)}

# The special cases by company index; everything else about them is drawn like any other company.
PLAIN, BANK, WEEKS_52_53, OFF_CALENDAR, RECAST, AMENDED_YEAR, AMENDED_QUARTER, TAG_CHANGE, LOSSES, NEGATIVE_EQUITY = (
    range(10)
)
BANKRUPT, FORWARD_SPLIT, REVERSE_SPLIT, TWO_CLASSES, CLASS_RATIO, RENAMED, ACQUIRED, REUSES_TICKER, IPO, IFRS = range(
    10, 20
)
COMPONENT_REVENUE = OFF_CALENDAR  # tags total revenue and the part that comes from contracts
ROLE_SECTOR = {
    PLAIN: "Information Technology",
    BANK: "Financials",
    WEEKS_52_53: "Consumer Discretionary",
    OFF_CALENDAR: "Consumer Staples",
    RECAST: "Industrials",
    AMENDED_YEAR: "Health Care",
    AMENDED_QUARTER: "Materials",
    TAG_CHANGE: "Information Technology",
    LOSSES: "Health Care",
    NEGATIVE_EQUITY: "Consumer Discretionary",
    BANKRUPT: "Energy",
    FORWARD_SPLIT: "Information Technology",
    REVERSE_SPLIT: "Energy",
    TWO_CLASSES: "Communication Services",
    CLASS_RATIO: "Industrials",
    RENAMED: "Communication Services",
    ACQUIRED: "Materials",
    REUSES_TICKER: "Real Estate",
    IPO: "Consumer Staples",
    IFRS: "Utilities",
}
BANKRUPT_LAST = date(2023, 11, 17)
ACQUIRED_LAST = date(2023, 5, 19)
REUSED_FIRST = date(2023, 9, 14)
IPO_FIRST = date(2024, 2, 8)
RENAMED_ON = date(2023, 6, 12)

_HEADS = """
Alder Amber Anchor Apex Ash Aspen Atlas Aurora Barrow Bay Beacon Birch Black Blue Bolt Bram Bright Brook Cal Cand Cedar
Chest Clear Cliff Cold Copper Coral Crest Cross Crown Dale Dawn Deer Dove Drift Dun East Eden Elder Elm Ember Ever Fair
Falcon Fern Fox Frost Glen Gold Granite Green Grove Hale Harbor Hart Haven Hazel Heron High Hollow Iron Ivy Jas Kest
Keystone Lark Laurel Lime Linden Long Maple Marl Meadow Mill Moss North Oak Onyx Orchard Pine Quarry Quill Raven Red
Ridge River Rowan Sable Sage Silver South Spruce Star Stone Summit Swift Thorn""".split()[:96]  # noqa: SIM905
_TAILS = """
acre arbor bank beck berg born borough bourne bridge brook burn bury by cliff combe cote court croft dale den ditch don
edge fall fell field firth fleet fold ford forge gate glade grove hall ham haven hay head hill holm holt house hurst ing
keld lake land lane law leigh ley lock low mark marsh mead mere mill minster mont moor more mouth ness park path peak
point pool port quay rick ridge rise rock row sea shaw shore""".split()[:72]  # noqa: SIM905
_STATES = (
    ("CA", "San Mateo"),
    ("NY", "Rochester"),
    ("TX", "Plano"),
    ("DE", "Wilmington"),
    ("IL", "Evanston"),
    ("MA", "Waltham"),
    ("WA", "Bellevue"),
    ("OH", "Dayton"),
    ("GA", "Alpharetta"),
    ("CO", "Boulder"),
)


@dataclass(frozen=True, slots=True)
class Split:
    """`numerator` new shares for `denominator` old ones from the open of `ex_date`."""

    ex_date: date
    numerator: int
    denominator: int
    announced: date


@dataclass(frozen=True, slots=True)
class Dividend:
    """Cash a share on the split basis of `ex_date`; `quarter` indexes the fiscal quarter it is paid in."""

    ex_date: date
    declared: date
    record_date: date
    pay_date: date
    amount: float
    quarter: int


@dataclass(frozen=True, slots=True)
class Listing:
    """One listed share class. `tickers` are (ticker, first day, last day or None) in order; Polygon's spelling."""

    company: int
    share_class: str | None
    per_base: int  # base shares one share converts into
    part: float  # of the company's base shares that this class makes up, in base shares
    figi: str
    share_class_figi: str
    type: str
    name: str
    first_session: date
    last_session: date | None
    tickers: tuple[tuple[str, date, date | None], ...]

    def ticker_on(self, day: date) -> str | None:
        """The ticker it traded under on `day`; None before listing and after delisting."""
        for ticker, first, last in self.tickers:
            if first <= day and (last is None or day <= last):
                return ticker
        return None

    def newest_ticker(self, day: date) -> str:
        """The last ticker that `day` knows of."""
        return next((t for t, first, _ in reversed(self.tickers) if first <= day), self.tickers[0][0])


@dataclass(frozen=True)
class Company:
    """One filer. Money is in whole dollars (euros for the IFRS filer); shares on the basis of 2022-01-03."""

    index: int
    seed: int
    cik: int
    name: str
    sector: Sector
    state: str
    city: str
    exchange: str  # Polygon's MIC
    fiscal_month: int  # month a fiscal year ends in
    weeks: bool  # a 52/53-week year that ends on the month's last Saturday
    revenue_2021: float
    growth: float
    gross_margin: float
    opex: float
    debt: float
    price_2022: float
    shares_2022: float
    share_drift: float
    dividend_yield: float
    dividend_growth: float
    volatility: float
    beta: float
    drift: float
    illiquid: float  # share of sessions without a trade
    splits: tuple[Split, ...]
    listings: tuple[Listing, ...]
    stops_filing: date | None
    styles: tuple[float, ...]  # uniform draws that choose among tagging habits

    @property
    def is_bank(self) -> bool:
        return self.sector.name == "Financials"

    @property
    def currency(self) -> str:
        return "EUR" if self.index == IFRS else "USD"

    @property
    def first_session(self) -> date:
        return self.listings[0].first_session

    @property
    def last_session(self) -> date | None:
        return self.listings[0].last_session

    @property
    def public_since(self) -> date:
        """The day its first filing may appear: its listing where that is inside the market's history."""
        return self.first_session if self.first_session > FIRST_SESSION else FIRST_FILING

    def split_factor(self, after: date, upto: date) -> float:
        """New shares for one old share by the splits with after < ex_date <= upto."""
        factor = 1.0
        for split in self.splits:
            if after < split.ex_date <= upto:
                factor *= split.numerator / split.denominator
        return factor

    def to_basis(self, day: date) -> float:
        """Shares of `day`'s split basis for one share of 2022-01-03's."""
        if day >= FIRST_SESSION:
            return self.split_factor(FIRST_SESSION, day)
        return 1.0 / self.split_factor(day, FIRST_SESSION)

    def shares_at(self, day: date, basis: date | None = None) -> float:
        """Base shares outstanding on `day`, whole, on the split basis of `basis` (default: `day`)."""
        grown = self.shares_2022 * (1 + self.share_drift) ** ((day - FIRST_SESSION).days / 365.25)
        return float(round(round(grown / 1000) * 1000 * self.to_basis(basis or day)))

    @cached_property
    def quarter_ends(self) -> tuple[date, ...]:
        """Ends of the fiscal quarters from the first one of FY2011, in order; index // 4 counts fiscal years."""
        ends: list[date] = []
        for year in range(FIRST_FISCAL_YEAR, LAST_PERIOD_END.year + 2):
            if self.weeks:
                start = _last_saturday(year - 1, self.fiscal_month) + timedelta(days=1)
                ends += [start + timedelta(days=91 * k - 1) for k in (1, 2, 3)]
                ends.append(_last_saturday(year, self.fiscal_month))
            else:
                for back in (9, 6, 3, 0):
                    months = year * 12 + self.fiscal_month - 1 - back
                    ends.append(_month_end(months // 12, months % 12 + 1))
        return tuple(end for end in ends if end <= LAST_PERIOD_END)

    def quarter_start(self, quarter: int) -> date:
        """First day of a fiscal quarter."""
        if quarter:
            return self.quarter_ends[quarter - 1] + timedelta(days=1)
        if self.weeks:
            return _last_saturday(FIRST_FISCAL_YEAR - 1, self.fiscal_month) + timedelta(days=1)
        months = FIRST_FISCAL_YEAR * 12 + self.fiscal_month - 1 - 12
        return _month_end(months // 12, months % 12 + 1) + timedelta(days=1)

    @cached_property
    def dividends(self) -> tuple[Dividend, ...]:
        """All quarterly cash dividends, oldest first; none for those that pay none."""
        if not self.dividend_yield:
            return ()
        paid = []
        for quarter, end in enumerate(self.quarter_ends):
            if end - timedelta(days=30) < self.public_since:
                continue
            ex_date = _session_at_or_before(end - timedelta(days=30))
            if ex_date < self.public_since or (self.last_session and ex_date > self.last_session):
                continue
            grown = (1 + self.dividend_growth) ** (quarter // 4 - (2022 - FIRST_FISCAL_YEAR))
            amount = round(self.price_2022 * self.dividend_yield / 4 * grown / self.to_basis(ex_date), 4)
            if amount > 0:
                paid.append(
                    Dividend(
                        ex_date,
                        end - timedelta(days=52),
                        ex_date + timedelta(days=1),
                        end - timedelta(days=12),
                        amount,
                        quarter,
                    )
                )
        return tuple(paid)


def _last_saturday(year: int, month: int) -> date:
    end = _month_end(year, month)
    return end - timedelta(days=(end.weekday() - 5) % 7)


def _month_end(year: int, month: int) -> date:
    return date(year, month, month_calendar.monthrange(year, month)[1])


_SESSIONS: dict[str, list[date]] = {}


def all_sessions() -> list[date]:
    """XNYS sessions from 2011 to the end of 2025: filings and dividends fall on them."""
    if "all" not in _SESSIONS:
        _SESSIONS["all"] = sessions_between(date(2010, 12, 1), LAST_PERIOD_END)
    return _SESSIONS["all"]


def _session_at_or_before(day: date) -> date:
    sessions = all_sessions()
    return sessions[bisect_right(_ordinals(), day.toordinal()) - 1]


def session_at_or_after(day: date) -> date:
    """The first session on or after `day`."""
    sessions = all_sessions()
    return sessions[min(bisect_left(_ordinals(), day.toordinal()), len(sessions) - 1)]


_ORDINALS: dict[str, list[int]] = {}


def _ordinals() -> list[int]:
    if "all" not in _ORDINALS:
        _ORDINALS["all"] = [day.toordinal() for day in all_sessions()]
    return _ORDINALS["all"]


def new_york(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """An aware moment of New York's clock."""
    return datetime.combine(day, time(hour, minute, second), tzinfo=NEW_YORK)


class Registry:
    """Companies by index, made when asked for. Names and tickers are settled for all of them at once (cheap)."""

    def __init__(self, seed: int, size: int) -> None:
        if not 20 <= size <= 6000:
            raise ValueError(f"companies={size}: the simulated market takes 20 to 6000")
        self.seed, self.size = seed, size
        self._made: dict[int, Company] = {}
        offset = int(stream(seed, NAMES).integers(len(_HEADS) * len(_TAILS)))
        self.stems: list[tuple[str, str]] = []
        self.tickers: list[str] = []
        taken: set[str] = {"ZVZZT"}
        self._spare = [_ticker("QUAND", "VEX", 4, taken), _ticker("ZEPHYR", "LINE", 4, taken)]
        taken.update(self._spare)
        for index in range(size):
            pair = (index * 4217 + offset) % (len(_HEADS) * len(_TAILS))
            head, tail = _HEADS[pair // len(_TAILS)], _TAILS[pair % len(_TAILS)]
            self.stems.append((head, tail))
            ticker = _ticker(head.upper(), tail.upper(), 3 if index % 5 == 0 else 4, taken)
            taken.add(ticker)
            self.tickers.append(ticker)
        self.by_cik = {self.cik(index): index for index in range(size)}

    @staticmethod
    def cik(index: int) -> int:
        return 9_000_011 + 137 * index

    def __getitem__(self, index: int) -> Company:
        made = self._made.get(index)
        if made is None:
            made = self._made[index] = self._make(index)
        return made

    def of_cik(self, cik: int) -> Company:
        """The company of a CIK; KeyError where the market has none such."""
        return self[self.by_cik[int(cik)]]

    def __len__(self) -> int:
        return self.size

    def _make(self, index: int) -> Company:
        draw = stream(self.seed, ECONOMICS, index)
        u, z = draw.random(24), draw.standard_normal(12)
        sector = SECTORS[SECTOR_NUMBER[ROLE_SECTOR[index]] if index in ROLE_SECTOR else index % len(SECTORS)]
        special = index < 20
        head, tail = self.stems[index]
        name = f"{head}{tail} {sector.noun}" + (" Inc." if u[0] < 0.6 else " Corp" if u[0] < 0.9 else " Co")
        state, city = _STATES[int(u[1] * len(_STATES))]
        month, weeks = 12, False
        if not special and u[2] < 0.2:
            month = (1, 3, 6, 9)[int(u[2] / 0.05)]
        if not special and 0.2 <= u[2] < 0.3:
            month, weeks = (1, 6, 9, 12)[int((u[2] - 0.2) / 0.025)], True
        if index == WEEKS_52_53:
            month, weeks = 9, True
        if index == OFF_CALENDAR:
            month = 1
        revenue = float(np.exp(np.log(2.5e9) + 1.2 * z[0]))
        growth = sector.growth + 0.04 * z[1]
        margin = float(np.clip(sector.gross_margin + 0.06 * z[2], 0.12, 0.88))
        opex = float(sector.opex * np.exp(0.12 * z[3]))
        debt = float(sector.debt * np.exp(0.5 * z[4]))
        price = float(np.round(np.exp(np.log(60) + 0.7 * z[5]), 2))
        dividend_yield = sector.dividend_yield * (0.6 + 0.8 * u[3]) if u[4] < 0.7 else 0.0
        drift, stops, last = 0.0003 * z[6], None, None
        first = FIRST_SESSION
        volatility = float(sector.volatility * np.exp(0.25 * z[7]))
        illiquid = 0.25 if not special and u[5] < 0.01 else 0.0
        splits: list[Split] = []
        if not special:
            if u[6] < 0.06:
                splits.append(_split(u[7], (2, 3, 4)[int(u[8] * 3)], 1))
            elif u[6] < 0.08:
                splits.append(_split(u[7], 1, (5, 10, 20)[int(u[8] * 3)]))
            elif u[6] < 0.12:
                ex_date = session_at_or_after(date(2015, 3, 2) + timedelta(days=int(u[7] * 2200)))
                splits.append(Split(ex_date, 2, 1, ex_date - timedelta(days=24)))
            if u[9] < 0.03:  # listed inside the price history
                first = session_at_or_after(date(2022, 3, 1) + timedelta(days=int(u[10] * 1200)))
                splits, dividend_yield = [], 0.0
            elif u[9] < 0.05:  # acquired inside it
                last = session_at_or_after(date(2023, 1, 3) + timedelta(days=int(u[10] * 1000)))
                splits = [s for s in splits if s.ex_date < last - timedelta(days=90)]
            if not sector.gross_margin:
                pass
            elif u[11] < 0.08:  # loses money
                opex, dividend_yield, growth = margin + 0.10 + 0.2 * u[12], 0.0, growth + 0.08
        if index == PLAIN:
            growth, margin, opex, dividend_yield, price = 0.08, 0.62, 0.38, 0.012, 142.0
        if index == AMENDED_QUARTER:
            illiquid = 0.25
        if index == LOSSES:
            growth, margin, opex, dividend_yield = 0.18, 0.55, 0.78, 0.0
        if index == NEGATIVE_EQUITY:
            margin, opex, dividend_yield, debt = 0.42, 0.22, 0.02, 1.4
        if index == BANKRUPT:
            margin, opex, debt, dividend_yield, drift = 0.20, 0.33, 1.6, 0.0, -0.002
            last, stops, price, volatility = BANKRUPT_LAST, date(2023, 6, 1), 24.0, 0.035
        if index == FORWARD_SPLIT:
            price, drift, growth, dividend_yield = 640.0, 0.0012, 0.22, 0.002
            splits = [
                Split(date(2018, 6, 4), 2, 1, date(2018, 5, 10)),
                Split(date(2022, 8, 25), 4, 1, date(2022, 8, 2)),
                Split(date(2024, 6, 10), 10, 1, date(2024, 5, 22)),
            ]
        if index == REVERSE_SPLIT:
            price, drift, dividend_yield, opex = 9.0, -0.0028, 0.0, 0.40
            splits = [Split(date(2024, 3, 18), 1, 20, date(2024, 2, 27))]
        if index == CLASS_RATIO:
            price, dividend_yield, growth, margin, opex = 300.0, 0.0, 0.06, 0.34, 0.16
        if index == RENAMED:
            splits = [Split(date(2022, 11, 14), 3, 1, date(2022, 10, 20))]
            dividend_yield = 0.016
        if index == ACQUIRED:
            last, dividend_yield = ACQUIRED_LAST, 0.02
        if index == REUSES_TICKER:
            first, dividend_yield = REUSED_FIRST, 0.0
        if index == IPO:
            first, dividend_yield = IPO_FIRST, 0.0
        if index in (LOSSES, BANKRUPT, REVERSE_SPLIT, IFRS):
            growth = max(growth, 0.02)
        worth = revenue * sector.price_to_sales * float(np.exp(0.35 * z[8])) * (1.6 if growth > 0.12 else 1.0)
        if index == IFRS:
            dividend_yield = 0.0
        # A dividend that earnings can bear: about 70 % of them at most.
        earned = (1 - opex - 0.08 if sector.name == "Financials" else margin - opex - 0.045 * debt) * 0.79
        dividend_yield = min(dividend_yield, max(0.0, 0.7 * earned * revenue / worth))
        if dividend_yield < 0.001:
            dividend_yield = 0.0
        shares = float(max(2_000_000, round(worth / price / 1000) * 1000))
        if last is not None and stops is None:
            stops = last
        return Company(
            index=index,
            seed=self.seed,
            cik=self.cik(index),
            name=name,
            sector=sector,
            state=state,
            city=city,
            exchange="XNAS" if u[13] < 0.5 else "XNYS",
            fiscal_month=month,
            weeks=weeks,
            revenue_2021=revenue,
            growth=float(growth),
            gross_margin=margin,
            opex=opex,
            debt=debt,
            price_2022=price,
            shares_2022=shares,
            share_drift=0.06
            if index in (LOSSES, BANKRUPT, REVERSE_SPLIT)
            else float(np.round(-0.02 + 0.04 * u[14], 4)),
            dividend_yield=float(dividend_yield),
            dividend_growth=float(np.round(0.02 + 0.06 * u[15], 3)),
            volatility=volatility,
            beta=float(0.6 + 0.8 * u[16]),
            drift=float(drift),
            illiquid=illiquid,
            splits=tuple(splits),
            listings=self._listings(index, name, first, last),
            stops_filing=stops,
            styles=tuple(float(v) for v in u[17:24]),
        )

    def _listings(self, index: int, name: str, first: date, last: date | None) -> tuple[Listing, ...]:
        ticker = self.tickers[index]
        since = LISTED_SINCE if first == FIRST_SESSION else first
        names: tuple[tuple[str, date, date | None], ...] = ((ticker, since, last),)
        if index == RENAMED:
            names = ((ticker, since, RENAMED_ON - timedelta(days=1)), (self._spare[0], RENAMED_ON, None))
        if index == REUSES_TICKER:
            names = ((self.tickers[ACQUIRED], first, last),)

        def listing(
            tickers: tuple[tuple[str, date, date | None], ...], label: str | None, ratio: int, part: float, number: int
        ) -> Listing:
            suffix = "" if label is None else f" Class {label}"
            code = f"{index:05d}{number}"
            return Listing(
                index,
                label,
                ratio,
                part,
                f"BBG90{code}S",
                f"BBG91{code}S",
                "CS",
                f"{name}{suffix} Common Stock",
                first,
                last,
                tickers,
            )

        if index == TWO_CLASSES:
            return (listing(names, "A", 1, 0.88, 1), listing(((self._spare[1], since, last),), "B", 1, 0.12, 2))
        if index == CLASS_RATIO:
            return (
                listing(((f"{ticker}.B", since, last),), "B", 1, 0.60, 2),
                listing(((f"{ticker}.A", since, last),), "A", 1500, 0.40, 1),
            )
        return (listing(names, None, 1, 1.0, 1),)


def _split(u: float, numerator: int, denominator: int) -> Split:
    ex_date = session_at_or_after(date(2022, 6, 1) + timedelta(days=int(u * 1150)))
    return Split(ex_date, numerator, denominator, ex_date - timedelta(days=22))


def _ticker(head: str, tail: str, length: int, taken: set[str]) -> str:
    """The first unused ticker made of letters of the name: the beginnings of its two parts, then any subsequence."""
    first = head[:2] + tail[:2] if length == 4 else head[0] + tail[0] + tail[-1]
    if first not in taken:
        return first
    stem = head + tail
    for size in (length, 4, 5):
        for rest in itertools.combinations(stem[1:], size - 1):
            if (ticker := stem[0] + "".join(rest)) not in taken:
                return ticker
    raise ValueError(f"no ticker is left for {stem}")
