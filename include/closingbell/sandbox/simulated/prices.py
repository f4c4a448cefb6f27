"""What the price vendors answer about the simulated market: Polygon (Massive), Tiingo and Yahoo.

Sources: the vendors' reference pages (Polygon's stocks REST reference, Tiingo's End-of-Day documentation, Yahoo's v8
chart as yfinance reads it). Polygon's and Tiingo's prices are as traded; Yahoo's are adjusted for every split up to
`now`.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

from closingbell.sandbox.simulated import companies as made
from closingbell.sandbox.simulated.bars import Bar, Bars
from closingbell.sandbox.simulated.companies import Company, Dividend, Listing, Registry, Split, new_york

POLYGON_DELAY = timedelta(minutes=15)
TIINGO_DELAY = timedelta(minutes=90)
GARBAGE = "ZVZZT"  # Nasdaq's own test symbol; vendors let it slip into grouped bars


class NotServed(LookupError):
    """The vendor has no such thing, or not yet: a 404 of the vendor's own."""


class Vendors:
    """The three vendors over one market. `now` is aware everywhere."""

    def __init__(self, registry: Registry, bars: Bars) -> None:
        self.registry, self.bars = registry, bars
        self._holders: dict[str, list[int]] | None = None

    # Who is who

    def listings(self) -> list[Listing]:
        return [listing for block in range(self.bars.block_count) for listing in self.bars.listings(block)]

    def holder(self, ticker: str, day: date) -> Listing:
        """The listing that `ticker` means on `day`: its holder then, else the last one before; NotServed if none."""
        if self._holders is None:
            self._holders = {}
            for index, own in enumerate(
                self.registry.tickers
            ):  # those without a role trade under their own ticker only
                roles = self.registry[index].listings if index in made.ROLE_SECTOR else ()
                for name in {own} | {name for listing in roles for name, _, _ in listing.tickers}:
                    self._holders.setdefault(name, []).append(index)
        wanted = ticker.upper().replace("-", ".")
        known = [
            held
            for index in self._holders.get(wanted, [])
            for held in self.registry[index].listings
            if any(name == wanted and first <= day for name, first, _ in held.tickers)
        ]
        if not known:
            raise NotServed(f"{ticker}: no such ticker on {day}")
        return max(known, key=lambda held: next(first for name, first, _ in held.tickers if name == wanted))

    @staticmethod
    def today(now: datetime) -> date:
        return now.astimezone(made.NEW_YORK).date()

    def _known_sessions(self, now: datetime, delay: timedelta) -> int:
        """How many sessions, from the first, have bars at `now`."""
        closes = self.bars.closes
        low, high = 0, len(closes)
        while low < high:
            middle = (low + high) // 2
            if closes[middle] + delay <= now:
                low = middle + 1
            else:
                high = middle
        return low

    def _provisional(self, session: date, now: datetime) -> bool:
        return now < self.bars.final_from[self.bars.position[session]]

    # Polygon

    def grouped_daily(self, session: date, now: datetime) -> list[dict[str, Any]]:
        """Results of /v2/aggs/grouped, unadjusted; empty before the bars exist and on days without a session."""
        row = self.bars.position.get(session)
        if row is None or row >= self._known_sessions(now, POLYGON_DELAY):
            return []
        stamp = int(new_york(session, 16).timestamp() * 1000)
        results = []
        for listing, bar in self.bars.session_values(session, self._provisional(session, now)):
            results.append(
                {
                    "T": listing.ticker_on(session),
                    "v": bar.volume,
                    "vw": bar.vwap,
                    "o": bar.open,
                    "c": bar.close,
                    "h": bar.high,
                    "l": bar.low,
                    "t": stamp,
                    "n": bar.trades,
                }
            )
        results.append(
            {
                "T": GARBAGE,
                "v": 100 + row,
                "vw": 0.0101,
                "o": 20.0,
                "c": 0.01,
                "h": 200000.0,
                "l": 0.01,
                "t": stamp,
                "n": 1,
            }
        )
        results.sort(key=lambda result: hashlib.blake2b(f"{result['T']}{row}".encode(), digest_size=8).digest())
        return results

    def tickers(self, active: bool, now: datetime) -> list[dict[str, Any]]:
        """Results of /v3/reference/tickers, by ticker. Delisted companies are in the inactive list only."""
        today = self.today(now)
        results = []
        for listing in self.listings():
            if listing.first_session > today:
                continue
            gone = listing.last_session is not None and listing.last_session < today
            if gone == active:
                continue
            company = self.registry[listing.company]
            result = {
                "ticker": listing.newest_ticker(today),
                "name": listing.name,
                "market": "stocks",
                "locale": "us",
                "primary_exchange": company.exchange,
                "type": listing.type,
                "active": active,
                "currency_name": "usd",
                "cik": f"{company.cik:010d}",
                "composite_figi": listing.figi,
                "share_class_figi": listing.share_class_figi,
                "last_updated_utc": f"{today}T00:00:00Z",
            }
            if gone and listing.last_session:
                result["delisted_utc"] = f"{listing.last_session + timedelta(days=1)}T00:00:00Z"
            results.append(result)
        return sorted(results, key=lambda result: (str(result["ticker"]), str(result["cik"])))

    def known_splits(self, company: Company, now: datetime) -> list[Split]:
        """Splits announced by `now` of a company while listed."""
        return [split for split in company.splits if new_york(split.announced, 7) <= now]

    def known_dividends(self, company: Company, now: datetime) -> list[Dividend]:
        return [dividend for dividend in company.dividends if new_york(dividend.declared, 7) <= now]

    def splits(self, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """Results of /v3/reference/splits by execution date in [first, last], newest first, under today's ticker."""
        today, results = self.today(now), []
        for listing in self.listings():
            for split in self.known_splits(self.registry[listing.company], now):
                if first <= split.ex_date <= last and listing.first_session <= today:
                    ticker = listing.newest_ticker(today)
                    results.append(
                        {
                            "execution_date": split.ex_date.isoformat(),
                            "id": "E" + _digest("split", listing.figi, split.ex_date),
                            "split_from": split.denominator,
                            "split_to": split.numerator,
                            "ticker": ticker,
                        }
                    )
        return sorted(results, key=lambda r: (r["execution_date"], r["ticker"]), reverse=True)

    def dividends(self, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """Results of /v3/reference/dividends by ex date in [first, last], newest first, under today's ticker."""
        today, results = self.today(now), []
        for listing in self.listings():
            for dividend in self.known_dividends(self.registry[listing.company], now):
                if first <= dividend.ex_date <= last:
                    results.append(
                        {
                            "cash_amount": dividend.amount * listing.per_base,
                            "currency": "USD",
                            "declaration_date": dividend.declared.isoformat(),
                            "dividend_type": "CD",
                            "ex_dividend_date": dividend.ex_date.isoformat(),
                            "frequency": 4,
                            "id": "E" + _digest("dividend", listing.figi, dividend.ex_date),
                            "pay_date": dividend.pay_date.isoformat(),
                            "record_date": dividend.record_date.isoformat(),
                            "ticker": listing.newest_ticker(today),
                        }
                    )
        return sorted(results, key=lambda r: (r["ex_dividend_date"], r["ticker"]), reverse=True)

    def details(self, ticker: str, day: date | None, now: datetime) -> dict[str, Any]:
        """`results` of /v3/reference/tickers/{ticker}: the listing that held it on `day` (default: today)."""
        today = self.today(now)
        on = min(day or today, today)
        listing = self.holder(ticker, on)
        company = self.registry[listing.company]
        gone = listing.last_session is not None and listing.last_session < on
        shares = company.shares_at(on)
        upto = min(on, self.bars.sessions[max(0, self._known_sessions(now, POLYGON_DELAY) - 1)])
        bars = self.bars.series(listing, upto - timedelta(days=14), upto)
        weighted = int(shares / listing.per_base)
        root, _, suffix = (listing.ticker_on(on) or listing.newest_ticker(on)).partition(".")
        result: dict[str, Any] = {
            "ticker": f"{root}.{suffix}" if suffix else root,
            "name": listing.name,
            "market": "stocks",
            "locale": "us",
            "primary_exchange": company.exchange,
            "type": listing.type,
            "active": not gone,
            "currency_name": "usd",
            "cik": f"{company.cik:010d}",
            "composite_figi": listing.figi,
            "share_class_figi": listing.share_class_figi,
            "market_cap": round(weighted * bars[-1].close, 2) if bars else None,
            "phone_number": "(555) 010-0100",
            "address": {
                "address1": "100 MARKET STREET",
                "city": company.city.upper(),
                "state": company.state,
                "postal_code": "00000",
            },
            "description": f"{company.name} is a simulated company of the sector {company.sector.name}.",
            "sic_code": f"{company.sector.sic:04d}",
            "sic_description": company.sector.sic_description.upper(),
            "ticker_root": root,
            "homepage_url": "https://www.example.com",
            "total_employees": 1000 + company.index,
            "list_date": listing.tickers[0][1].isoformat(),
            "branding": {
                "logo_url": "https://www.example.com/logo.svg",
                "icon_url": "https://www.example.com/icon.png",
            },
            "share_class_shares_outstanding": int(shares * listing.part / listing.per_base),
            "weighted_shares_outstanding": weighted,
        }
        if suffix:
            result["ticker_suffix"] = suffix
        if gone and listing.last_session:
            result["delisted_utc"] = f"{listing.last_session + timedelta(days=1)}T00:00:00Z"
        return {key: value for key, value in result.items() if value is not None}

    def events(self, ticker: str, now: datetime) -> dict[str, Any]:
        """`results` of /vX/reference/tickers/{ticker}/events: its listing's tickers, newest first."""
        today = self.today(now)
        listing = self.holder(ticker, today)
        company = self.registry[listing.company]
        return {
            "name": listing.name,
            "composite_figi": listing.figi,
            "cik": f"{company.cik:010d}",
            "events": [
                {"ticker_change": {"ticker": name}, "type": "ticker_change", "date": first.isoformat()}
                for name, first, _ in reversed(listing.tickers)
                if first <= today
            ],
        }

    # Tiingo

    def _served(self, listing: Listing, first: date, last: date, now: datetime, delay: timedelta) -> list[Bar]:
        count = self._known_sessions(now, delay)
        if not count:
            return []
        newest = self.bars.sessions[count - 1]
        provisional = {s for s in self.bars.sessions[max(0, count - 2) : count] if self._provisional(s, now)}
        return self.bars.series(listing, first, min(last, newest), provisional)

    def tiingo_prices(self, ticker: str, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """Rows of /tiingo/daily/{ticker}/prices, oldest first: as traded, and adjusted for splits and dividends."""
        listing = self.holder(ticker, self.today(now))
        company = self.registry[listing.company]
        bars = self._served(listing, made.FIRST_SESSION, made.LAST_SESSION, now, TIINGO_DELAY)
        today = self.today(now)
        splits = {s.ex_date: s for s in company.splits if s.ex_date <= today}
        dividends = {d.ex_date: d for d in company.dividends if d.ex_date <= today}
        rows: list[dict[str, Any]] = []
        price_factor = volume_factor = 1.0
        for number in range(len(bars) - 1, -1, -1):
            bar = bars[number]
            split_factor, cash = 1.0, 0.0
            earlier = bars[number - 1].session if number else date.min
            for day, split in splits.items():
                if earlier < day <= bar.session and number:
                    split_factor *= split.numerator / split.denominator
            for day, dividend in dividends.items():
                if earlier < day <= bar.session and number:
                    cash += dividend.amount * listing.per_base
            rows.append(
                {
                    "date": f"{bar.session}T00:00:00.000Z",
                    "close": bar.close,
                    "high": bar.high,
                    "low": bar.low,
                    "open": bar.open,
                    "volume": bar.volume,
                    "adjClose": round(bar.close * price_factor, 10),
                    "adjHigh": round(bar.high * price_factor, 10),
                    "adjLow": round(bar.low * price_factor, 10),
                    "adjOpen": round(bar.open * price_factor, 10),
                    "adjVolume": int(bar.volume * volume_factor),
                    "divCash": cash,
                    "splitFactor": split_factor,
                }
            )
            if number:
                before = bars[number - 1].close
                price_factor /= split_factor
                volume_factor *= split_factor
                if cash:
                    price_factor *= max(0.01, 1 - cash * split_factor / before)
        return [row for row in reversed(rows) if first.isoformat() <= row["date"][:10] <= last.isoformat()]

    def tiingo_daily_all(self, now: datetime) -> list[dict[str, Any]]:
        """Rows of /tiingo/daily/prices: the newest session's bar of every listed ticker."""
        count = self._known_sessions(now, TIINGO_DELAY)
        if not count:
            return []
        session = self.bars.sessions[count - 1]
        rows = []
        for listing, bar in self.bars.session_values(session, self._provisional(session, now)):
            company = self.registry[listing.company]
            factor = company.split_factor(session - timedelta(days=1), session)
            cash = sum(d.amount for d in company.dividends if d.ex_date == session) * listing.per_base
            name = (listing.ticker_on(session) or "").replace(".", "-").lower()
            rows.append(
                {
                    "ticker": name,
                    "date": f"{session}T00:00:00.000Z",
                    "close": bar.close,
                    "high": bar.high,
                    "low": bar.low,
                    "open": bar.open,
                    "volume": bar.volume,
                    "adjClose": bar.close,
                    "adjHigh": bar.high,
                    "adjLow": bar.low,
                    "adjOpen": bar.open,
                    "adjVolume": bar.volume,
                    "divCash": cash,
                    "splitFactor": factor,
                }
            )
        return sorted(rows, key=lambda row: row["ticker"])

    def tiingo_supported(self, now: datetime) -> str:
        """The CSV inside supported_tickers.zip; a ticker that two listings held in turn stands there twice."""
        today = self.today(now)
        count = self._known_sessions(now, TIINGO_DELAY)
        newest = self.bars.sessions[max(0, count - 1)]
        lines = ["ticker,exchange,assetType,priceCurrency,startDate,endDate"]
        rows = []
        for listing in self.listings():
            if listing.first_session <= today:
                exchange = "NASDAQ" if self.registry[listing.company].exchange == "XNAS" else "NYSE"
                end = min(listing.last_session or newest, newest)
                name = listing.newest_ticker(today).replace(".", "-")
                rows.append(f"{name},{exchange},Stock,USD,{listing.first_session},{end}")
        return "\n".join(lines + sorted(rows)) + "\n"

    # Yahoo

    def yahoo_chart(self, ticker: str, first: date, last: date, now: datetime) -> dict[str, Any]:
        """The v8 chart: prices adjusted for splits up to `now`, adjclose for dividends too; delisted is not found."""
        today = self.today(now)
        try:
            listing = self.holder(ticker, today)
        except NotServed:
            return _yahoo_error(ticker)
        if listing.ticker_on(today) != ticker.upper().replace("-", "."):
            return _yahoo_error(ticker)
        company = self.registry[listing.company]
        everything = self.adjustments(listing, now)
        bars = [row for row in everything if first <= row[0].session <= last]
        stamps = [int(new_york(bar.session, 9, 30).timestamp()) for bar, _, _ in bars]
        span = {bar.session for bar, _, _ in bars}
        split_events = {
            str(int(new_york(s.ex_date, 9, 30).timestamp())): {
                "date": int(new_york(s.ex_date, 9, 30).timestamp()),
                "numerator": float(s.numerator),
                "denominator": float(s.denominator),
                "splitRatio": f"{s.numerator}:{s.denominator}",
            }
            for s in company.splits
            if first <= s.ex_date <= min(last, today) and span
        }
        dividend_events = {
            str(int(new_york(d.ex_date, 9, 30).timestamp())): {
                "amount": round(d.amount * listing.per_base / company.split_factor(d.ex_date, today), 6),
                "date": int(new_york(d.ex_date, 9, 30).timestamp()),
            }
            for d in company.dividends
            if first <= d.ex_date <= min(last, today) and span
        }
        events = {name: found for name, found in (("dividends", dividend_events), ("splits", split_events)) if found}
        offset = now.astimezone(made.NEW_YORK).utcoffset() or timedelta()
        newest = everything[-1][0] if everything else None
        meta = {
            "currency": "USD",
            "symbol": ticker.upper(),
            "exchangeName": "NMS" if company.exchange == "XNAS" else "NYQ",
            "fullExchangeName": "NasdaqGS" if company.exchange == "XNAS" else "NYSE",
            "instrumentType": "EQUITY",
            "firstTradeDate": int(new_york(listing.first_session, 9, 30).timestamp()),
            "regularMarketTime": int(new_york(newest.session, 16).timestamp()) if newest else None,
            "hasPrePostMarketData": True,
            "gmtoffset": int(offset.total_seconds()),
            "timezone": "EST",
            "exchangeTimezoneName": "America/New_York",
            "regularMarketPrice": newest.close if newest else None,
            "longName": company.name,
            "shortName": company.name,
            "priceHint": 2,
            "currentTradingPeriod": {
                name: {
                    "timezone": "EST",
                    "start": int(new_york(today, *start).timestamp()),
                    "end": int(new_york(today, *end).timestamp()),
                    "gmtoffset": int(offset.total_seconds()),
                }
                for name, start, end in (
                    ("pre", (4, 0), (9, 30)),
                    ("regular", (9, 30), (16, 0)),
                    ("post", (16, 0), (20, 0)),
                )
            },
            "dataGranularity": "1d",
            "range": "",
            "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
        }
        result: dict[str, Any] = {"meta": meta, "timestamp": stamps}
        if events:
            result["events"] = events
        quote = {
            name: [round(getattr(bar, name) / factor, 6) for bar, factor, _ in bars]
            for name in ("open", "high", "low", "close")
        }
        result["indicators"] = {
            "quote": [{**quote, "volume": [int(bar.volume * factor) for bar, factor, _ in bars]}],
            "adjclose": [{"adjclose": [round(bar.close * adjusted, 6) for bar, _, adjusted in bars]}],
        }
        if not stamps:
            del result["timestamp"]
            result["indicators"] = {"quote": [{}], "adjclose": [{}]}
        return {"chart": {"result": [result], "error": None}}

    def adjustments(self, listing: Listing, now: datetime) -> list[tuple[Bar, float, float]]:
        """Each bar with its split divisor and its full adjustment factor as of `now`, oldest first."""
        company, today = self.registry[listing.company], self.today(now)
        bars = self._served(listing, made.FIRST_SESSION, made.LAST_SESSION, now, POLYGON_DELAY)
        rows: list[tuple[Bar, float, float]] = []
        drop = 1.0
        for number in range(len(bars) - 1, -1, -1):
            bar = bars[number]
            divisor = company.split_factor(bar.session, today)
            rows.append((bar, divisor, drop / divisor))
            if number:
                before = bars[number - 1]
                cash = (
                    sum(d.amount for d in company.dividends if before.session < d.ex_date <= bar.session)
                    * listing.per_base
                )
                if cash:
                    drop *= max(0.01, 1 - cash * company.split_factor(before.session, bar.session) / before.close)
        return rows[::-1]


def _yahoo_error(ticker: str) -> dict[str, Any]:
    return {
        "chart": {
            "result": None,
            "error": {"code": "Not Found", "description": f"No data found, symbol may be delisted ({ticker})"},
        }
    }


def _digest(*parts: object) -> str:
    return hashlib.sha256("|".join(str(part) for part in parts).encode()).hexdigest()


def utc(moment: datetime) -> datetime:
    """An aware moment in UTC; a naive one is refused."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment}: the sandbox's clock needs a time zone")
    return moment.astimezone(UTC)
