"""What really happened in the simulated market, from the generator's own variables and not from any vendor body.

Frames have the names of the warehouse's tables, so that a test can compare column by column. Times are aware, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from closingbell.sandbox.simulated import companies as made
from closingbell.sandbox.simulated import insider_truth
from closingbell.sandbox.simulated.companies import Listing, new_york
from closingbell.sandbox.simulated.known import METRICS, known_statements

if TYPE_CHECKING:
    from closingbell.sandbox.market import Market

BARS = {
    "session": pl.Date, "ticker": pl.String, "cik": pl.Int64, "figi": pl.String, "open": pl.Float64, "high": pl.Float64,
    "low": pl.Float64, "close": pl.Float64, "volume": pl.Float64, "vwap": pl.Float64, "trades": pl.Int64,
}  # fmt: skip
ACTIONS = {
    "cik": pl.Int64, "figi": pl.String, "ticker": pl.String, "ex_date": pl.Date, "kind": pl.String,
    "numerator": pl.Float64, "denominator": pl.Float64, "amount": pl.Float64, "announced": pl.Date,
}  # fmt: skip
SECURITIES = {
    "cik": pl.Int64, "figi": pl.String, "name": pl.String, "share_class": pl.String, "type": pl.String,
    "exchange": pl.String, "shares_per_base": pl.Float64, "class_shares": pl.Float64, "company_shares": pl.Float64,
    "first_session": pl.Date, "last_session": pl.Date, "ticker": pl.String,
}  # fmt: skip
TICKERS = {"ticker": pl.String, "valid_from": pl.Date, "valid_to": pl.Date, "cik": pl.Int64, "figi": pl.String}
STATEMENTS = {"cik": pl.Int64, "period_end": pl.Date, "period_type": pl.String, **dict.fromkeys(METRICS, pl.Float64)}


class Truth:
    """The account of one market; every frame is made anew when asked for."""

    def __init__(self, market: Market) -> None:
        self.market = market

    def _listings(self) -> list[Listing]:
        return self.market.vendors.listings()

    def statements(self, as_of: datetime, ciks: Iterable[int] | None = None) -> pl.DataFrame:
        """Statement rows (cik, period_end, period_type, metrics, ratios) as the filings accepted by `as_of` show them.

        The newest version known; rows ordered by cik, period_type, period_end; missing is null. Rules: `known.py`.
        """
        rows: list[dict[str, Any]] = []
        for cik in self.market.ciks if ciks is None else ciks:
            rows += known_statements(self.market.books(self.market.company(cik)), as_of)
        return pl.DataFrame(rows, schema=STATEMENTS).sort("cik", "period_type", "period_end")

    def bars(self, session: date) -> pl.DataFrame:
        """Final unadjusted bars of a session, one row a listing that traded, by ticker."""
        return self._bars(session, provisional=False)

    def provisional_bars(self, session: date) -> pl.DataFrame:
        """The bars that vendors serve from the close of `session` to 07:00 New York of the next day."""
        return self._bars(session, provisional=True)

    def _bars(self, session: date, provisional: bool) -> pl.DataFrame:
        rows = []
        for listing, bar in self.market.bars.session_values(session, provisional):
            rows.append(
                {
                    "session": session,
                    "ticker": listing.ticker_on(session),
                    "cik": self.market.registry[listing.company].cik,
                    "figi": listing.figi,
                    "open": bar.open,
                    "high": bar.high,
                    "low": bar.low,
                    "close": bar.close,
                    "volume": float(bar.volume),
                    "vwap": bar.vwap,
                    "trades": bar.trades,
                }
            )
        return pl.DataFrame(rows, schema=BARS).sort("ticker")

    def actions(self, as_of: datetime | None = None) -> pl.DataFrame:
        """Splits and cash dividends of every listing, or those announced by `as_of`; `ticker` as of the ex date."""
        rows: list[dict[str, Any]] = []
        for listing in self._listings():
            company = self.market.registry[listing.company]
            common = {"cik": company.cik, "figi": listing.figi}
            for split in company.splits:
                rows.append(
                    {
                        **common,
                        "ticker": listing.ticker_on(split.ex_date),
                        "ex_date": split.ex_date,
                        "kind": "split",
                        "numerator": float(split.numerator),
                        "denominator": float(split.denominator),
                        "amount": None,
                        "announced": split.announced,
                    }
                )
            for dividend in company.dividends:
                rows.append(
                    {
                        **common,
                        "ticker": listing.ticker_on(dividend.ex_date),
                        "ex_date": dividend.ex_date,
                        "kind": "dividend",
                        "numerator": None,
                        "denominator": None,
                        "amount": dividend.amount * listing.per_base,
                        "announced": dividend.declared,
                    }
                )
        if as_of is not None:
            rows = [row for row in rows if new_york(row["announced"], 7) <= as_of]
        return pl.DataFrame(rows, schema=ACTIONS).sort("cik", "figi", "ex_date", "kind")

    def securities(self, as_of: datetime) -> pl.DataFrame:
        """Listings that trade or have traded by `as_of`: class, shares, first and last session, and today's ticker.

        `class_shares` and `company_shares` (base shares of all classes) are of `as_of`; `last_session` is null while
        listed, `ticker` null once delisted.
        """
        today = as_of.astimezone(made.NEW_YORK).date()
        rows = []
        for listing in self._listings():
            if listing.first_session > today:
                continue
            company = self.market.registry[listing.company]
            shares = company.shares_at(today)
            gone = listing.last_session is not None and listing.last_session < today
            rows.append(
                {
                    "cik": company.cik,
                    "figi": listing.figi,
                    "name": listing.name,
                    "share_class": listing.share_class,
                    "type": listing.type,
                    "exchange": company.exchange,
                    "shares_per_base": float(listing.per_base),
                    "class_shares": float(int(shares * listing.part / listing.per_base)),
                    "company_shares": shares,
                    "first_session": listing.first_session,
                    "last_session": listing.last_session if gone else None,
                    "ticker": listing.ticker_on(today),
                }
            )
        return pl.DataFrame(rows, schema=SECURITIES).sort("cik", "figi")

    def tickers(self, as_of: datetime | None = None) -> pl.DataFrame:
        """Which listing each ticker meant from when to when (days, both included; valid_to null while it does)."""
        today = as_of.astimezone(made.NEW_YORK).date() if as_of else date.max - timedelta(days=1)
        rows = []
        for listing in self._listings():
            cik = self.market.registry[listing.company].cik
            for ticker, first, last in listing.tickers:
                if first <= today:
                    ended = last if last is not None and last < today else None
                    rows.append(
                        {"ticker": ticker, "valid_from": first, "valid_to": ended, "cik": cik, "figi": listing.figi}
                    )
        return pl.DataFrame(rows, schema=TICKERS).sort("ticker", "valid_from")

    def ticker_on(self, session: date) -> dict[str, int]:
        """Ticker -> CIK of everything listed on `session`."""
        found = {}
        for listing in self._listings():
            if (ticker := listing.ticker_on(session)) is not None:
                found[ticker] = self.market.registry[listing.company].cik
        return found

    def index_members(self, as_of: datetime) -> pl.DataFrame:
        """Listings in the simulated S&P 500 (figi, valid_from): its companies' classes of one base share."""
        today = as_of.astimezone(made.NEW_YORK).date()
        rows = [
            {"figi": listing.figi, "valid_from": date(2000 + index % 20, 3, 4)}
            for index in self.market.members
            for listing in self.market.registry[index].listings
            if listing.per_base == 1 and listing.ticker_on(today)
        ]
        return pl.DataFrame(rows, schema={"figi": pl.String, "valid_from": pl.Date}).sort("figi")

    def sectors(self) -> dict[int, str]:
        """CIK -> GICS sector."""
        return {cik: self.market.company(cik).sector.name for cik in self.market.ciks}

    def insider_trades(self, as_of: datetime, *, filed_from: date = date.min) -> pl.DataFrame:
        """Lines of ownership filings accepted by `as_of` (filed from a day on), with what superseded them by then."""
        return insider_truth.trades(self.market.insiders, as_of, filed_from=filed_from)

    def insider_activity(self, session: date, *, filed_from: date = date.min) -> pl.DataFrame:
        """Open-market buying of each listing in the days up to a session, as its close knew it."""
        closes_at = self.market.close(session)
        return insider_truth.activity(self.market.insiders, session, closes_at, filed_from=filed_from)
