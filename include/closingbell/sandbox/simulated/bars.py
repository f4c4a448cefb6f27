"""Daily bars of the simulated market, unadjusted, final and provisional.

Comes in: the registry of companies. Goes out: arrays sessions x listings. Returns are a market factor, a sector factor
and the company's own Student-t noise; the traded price falls by each dividend and jumps by each split. Made in blocks
of 100 companies, so that one ticker costs one block and a company's bars do not depend on the market's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

import numpy as np

from closingbell.sandbox.simulated import companies as made
from closingbell.sandbox.simulated.companies import Company, Listing, Registry, new_york, stream
from closingbell.sessions import calendar, sessions_between

BLOCK = 100
FIELDS = ("open", "high", "low", "close", "vwap")


@dataclass(frozen=True, slots=True)
class Bar:
    """One unadjusted bar; volume in shares."""

    session: date
    open: float
    high: float
    low: float
    close: float
    vwap: float
    volume: int
    trades: int


class Bars:
    """All bars, block by block. A bar that does not exist (not listed, no trade) has volume 0 and NaN prices."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._blocks: dict[int, dict[str, np.ndarray]] = {}
        self._listings: dict[int, list[Listing]] = {}

    @cached_property
    def sessions(self) -> list[date]:
        return sessions_between(made.FIRST_SESSION, made.LAST_SESSION)

    @cached_property
    def position(self) -> dict[date, int]:
        return {session: number for number, session in enumerate(self.sessions)}

    @cached_property
    def closes(self) -> list[datetime]:
        """Close of each session, UTC."""
        return [
            stamp.to_pydatetime()
            for stamp in calendar().closes.loc[self.sessions[0].isoformat() : self.sessions[-1].isoformat()]
        ]

    @cached_property
    def final_from(self) -> list[datetime]:
        """The moment a session's bars are corrected: 07:00 New York of the next calendar day."""
        return [new_york(session + timedelta(days=1), 7) for session in self.sessions]

    @cached_property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Log returns of the market (sessions) and of the sectors beyond it (sessions x 11); fat-tailed."""
        draw, count = stream(self.registry.seed, made.FACTORS), len(self.sessions)
        market = 0.0078 * draw.standard_t(4, count) / np.sqrt(2) + 0.0002
        sectors = 0.0055 * draw.standard_t(5, (count, len(made.SECTORS))) / np.sqrt(5 / 3)
        return market, sectors

    @property
    def block_count(self) -> int:
        return -(-len(self.registry) // BLOCK)

    def listings(self, block: int) -> list[Listing]:
        """Listings of a block, in the columns' order."""
        if block not in self._listings:
            indexes = range(block * BLOCK, min((block + 1) * BLOCK, len(self.registry)))
            self._listings[block] = [listing for index in indexes for listing in self.registry[index].listings]
        return self._listings[block]

    def column(self, listing: Listing) -> tuple[dict[str, np.ndarray], int]:
        """The block that holds a listing, and its column there."""
        block = listing.company // BLOCK
        return self.block(block), self.listings(block).index(listing)

    def bar(self, listing: Listing, session: date, provisional: bool = False) -> Bar | None:
        """One bar, or None where there was no trade."""
        block, column = self.column(listing)
        row = self.position[session]
        values = {key: block[key][row, column] for key in (*FIELDS, "volume")}
        if provisional:
            values = {key: field[column] for key, field in self.provisional(listing.company // BLOCK, row).items()}
        return _bar(session, values)

    def series(self, listing: Listing, first: date, last: date, provisional: set[date] = frozenset()) -> list[Bar]:  # type: ignore[assignment]
        """Bars of a listing in [first, last], oldest first, days without a trade left out."""
        block, column = self.column(listing)
        bars = []
        for row, session in enumerate(self.sessions):
            if first <= session <= last and block["volume"][row, column]:
                values = {key: block[key][row, column] for key in (*FIELDS, "volume")}
                if session in provisional:
                    values = {k: v[column] for k, v in self.provisional(listing.company // BLOCK, row).items()}
                bar = _bar(session, values)
                if bar is not None:
                    bars.append(bar)
        return bars

    def session_values(self, session: date, provisional: bool = False) -> list[tuple[Listing, Bar]]:
        """Every listing that traded on `session` with its bar."""
        row, found = self.position[session], []
        for block in range(self.block_count):
            if provisional:
                fields = self.provisional(block, row)
            else:
                fields = {key: self.block(block)[key][row] for key in (*FIELDS, "volume")}
            columns = {key: values.tolist() for key, values in fields.items()}
            for column, listing in enumerate(self.listings(block)):
                if columns["volume"][column]:
                    values = {key: columns[key][column] for key in columns}
                    found.append((listing, _bar(session, values)))
        return found  # type: ignore[return-value]

    def provisional(self, block: int, row: int) -> dict[str, np.ndarray]:
        """The block's bars of one session as the vendor has them that evening: some prices and volumes are wrong."""
        final = {key: self.block(block)[key][row] for key in (*FIELDS, "volume")}
        count = len(self.listings(block))
        draw = stream(self.registry.seed, made.PROVISIONAL, row * 1000 + block)
        chance, shock, missing = draw.random(BLOCK + 2), draw.standard_normal(BLOCK + 2), draw.random(BLOCK + 2)
        chance, shock, missing = chance[:count], shock[:count], missing[:count]
        moved = chance < 0.08
        close = np.where(moved, _cents(final["close"] * (1 + 0.004 * shock)), final["close"])
        high, low = np.fmax(final["high"], close), np.fmin(final["low"], close)
        vwap = np.clip(final["vwap"], low, high)
        volume = np.where(chance < 0.35, np.floor(final["volume"] * (0.90 + 0.09 * missing)), final["volume"])
        volume = np.where(final["volume"] > 0, np.maximum(volume, 1), 0).astype(np.int64)
        return {"open": final["open"], "high": high, "low": low, "close": close, "vwap": vwap, "volume": volume}

    def block(self, number: int) -> dict[str, np.ndarray]:
        """Arrays sessions x listings of a block: open, high, low, close, vwap (float64) and volume (int64)."""
        if number not in self._blocks:
            self._blocks[number] = self._make(number)
        return self._blocks[number]

    def _make(self, number: int) -> dict[str, np.ndarray]:
        registry, count = self.registry, len(self.sessions)
        draw = stream(registry.seed, made.BARS, number)
        shape = (count, BLOCK)
        own = draw.standard_t(4, shape) / np.sqrt(2)
        gap, reach_up, reach_down, crowd = (draw.standard_normal(shape) for _ in range(4))
        traded = draw.random(shape)
        members = [registry[i] for i in range(number * BLOCK, min((number + 1) * BLOCK, len(registry)))]
        width = len(members)
        own, gap, crowd, traded = own[:, :width], gap[:, :width], crowd[:, :width], traded[:, :width]
        reach_up, reach_down = np.abs(reach_up[:, :width]), np.abs(reach_down[:, :width])
        market, sectors = self.factors
        volatility = np.array([c.volatility for c in members])
        returns = (
            market[:, None] * np.array([c.beta for c in members])
            + sectors[:, [made.SECTOR_NUMBER[c.sector.name] for c in members]]
            + own * volatility
            + np.array([c.drift for c in members])
        )
        returns = np.clip(returns, -0.30, 0.30)
        returns[0] = 0.0
        for column, company in enumerate(members):
            self._fate(company, returns[:, column])
        start = np.array([c.price_2022 for c in members])
        price = start * np.exp(np.cumsum(returns, axis=0))
        basis = np.ones(shape)[:, :width]
        for column, company in enumerate(members):
            for split in company.splits:
                if split.ex_date > made.FIRST_SESSION:
                    row = self.position.get(split.ex_date, count)
                    basis[row:, column] *= split.numerator / split.denominator
        price /= basis
        for column, company in enumerate(members):
            for dividend in company.dividends:
                row = self.position.get(dividend.ex_date, 0)
                if row:
                    before = price[row - 1, column] * basis[row - 1, column] / basis[row, column]
                    price[row:, column] *= max(0.5, 1 - dividend.amount / before)
        close = _cents(np.maximum(price, 0.02))
        previous = np.vstack([close[:1], close[:-1]]) * (np.vstack([basis[:1], basis[:-1]]) / basis)
        opening = _cents(np.maximum(previous * np.exp(0.35 * volatility * gap), 0.02))
        high = _cents(np.maximum(opening, close) * (1 + 0.4 * volatility * reach_up))
        low = _cents(
            np.maximum(np.minimum(opening, close) * (1 - 0.4 * np.minimum(volatility * reach_down, 0.5)), 0.01)
        )
        high, low = np.maximum.reduce([high, opening, close]), np.minimum.reduce([low, opening, close])
        vwap = np.clip(np.round((high + low + 2 * close) / 4, 4), low, high)
        shares = np.array([c.shares_2022 for c in members]) * basis
        activity = np.exp(0.4 * crowd + 6.0 * np.minimum(np.abs(returns), 0.15))
        volume = np.maximum(np.floor(shares * 0.005 * activity), 100)
        for column, company in enumerate(members):
            first, last = company.first_session, company.last_session
            begins = self.position.get(first, 0)
            ends = self.position[last] if last else count - 1
            volume[:begins, column] = 0
            volume[ends + 1 :, column] = 0
            if company.illiquid:
                volume[:, column] = np.floor(volume[:, column] / 200)
                quiet = traded[:, column] < company.illiquid
                quiet[[begins, ends]] = False
                volume[quiet, column] = 0
        fields = {"open": opening, "high": high, "low": low, "close": close, "vwap": vwap, "volume": volume}
        made_block = self._classes(members, fields)
        gone = made_block["volume"] == 0
        for key in FIELDS:
            made_block[key][gone] = np.nan
        made_block["volume"] = made_block["volume"].astype(np.int64)
        return made_block

    def _fate(self, company: Company, returns: np.ndarray) -> None:
        """Bend the last months of a company that ends: a collapse into bankruptcy, or a bid that fixes the price."""
        if company.last_session is None:
            return
        end = self.position[company.last_session]
        if company.index == made.BANKRUPT:
            returns[max(0, end - 110) : end + 1] -= 0.026
        else:
            bid = max(1, end - 55)
            returns[bid] = 0.27
            returns[bid + 1 : end + 1] *= 0.08

    def _classes(self, members: list[Company], fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Columns a listing: a second class trades within a hair of its economic worth in the first."""
        if all(len(company.listings) == 1 for company in members):
            return fields
        columns: dict[str, list[np.ndarray]] = {key: [] for key in fields}
        for column, company in enumerate(members):
            for number, listing in enumerate(company.listings):
                if number == 0:
                    for key in fields:
                        columns[key].append(fields[key][:, column])
                    continue
                draw = stream(self.registry.seed, made.CLASSES, company.index)
                premium = listing.per_base * (1 + 0.002 * draw.standard_normal(len(self.sessions)))
                for key in FIELDS:
                    columns[key].append(_cents(fields[key][:, column] * premium))
                part = 0.6 / listing.per_base
                base = fields["volume"][:, column]
                columns["volume"].append(np.where(base > 0, np.maximum(np.floor(base * part), 1), 0))
        return {key: np.column_stack(values) for key, values in columns.items()}


def _cents(price: np.ndarray) -> np.ndarray:
    """Prices as quoted: cents from a dollar on, hundredths of a cent below."""
    return np.where(price >= 1, np.round(price, 2), np.round(price, 4))


def _bar(session: date, values: dict[str, float]) -> Bar | None:
    volume = int(values["volume"])
    if not volume:
        return None
    return Bar(
        session,
        float(values["open"]),
        float(values["high"]),
        float(values["low"]),
        float(values["close"]),
        float(values["vwap"]),
        volume,
        max(1, volume // 137),
    )
