"""The simulated market: vendor-shaped bodies and, under `truth`, what really happened.

`Market(seed, companies)` is deterministic (same seed, same bytes, whatever the process) and lazy: a company is made
when somebody asks for it. Every body takes `now` (aware) and holds nothing later. Unknown keys raise `NotServed`.
"""

from __future__ import annotations

import csv
import io
import re
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from closingbell.sandbox.simulated import companies as made
from closingbell.sandbox.simulated import sec
from closingbell.sandbox.simulated.bars import Bars
from closingbell.sandbox.simulated.companies import Company, Registry, new_york
from closingbell.sandbox.simulated.prices import GARBAGE, NotServed, Vendors, utc
from closingbell.sandbox.simulated.statements import Books, Filing, plan_filings
from closingbell.sessions import close_of

if TYPE_CHECKING:
    from closingbell.sandbox.simulated.insiders import Insiders
    from closingbell.sandbox.simulated.institutions import Institutions
    from closingbell.sandbox.simulated.news import News
    from closingbell.sandbox.simulated.ratings import Ratings
    from closingbell.sandbox.simulated.truth import Truth

SP500_HEADER = "Symbol,Security,GICS Sector,GICS Sub-Industry,Headquarters Location,Date added,CIK,Founded"
SP500_SHARE = 0.6  # of a small market's companies; 500 at most

__all__ = ["Market", "NotServed"]


class Market:
    """A market of `companies` (20 to 6000) simulated filers between 2022-01-03 and 2025-12-05, filings from 2014."""

    def __init__(self, seed: int = 7, companies: int = 60) -> None:
        self.seed, self.companies = seed, companies
        self.registry = Registry(seed, companies)
        self.bars = Bars(self.registry)
        self.vendors = Vendors(self.registry, self.bars)
        self.first_session, self.last_session = made.FIRST_SESSION, made.LAST_SESSION
        self.default_clock: datetime = close_of(self.last_session) + timedelta(minutes=125)
        self._books: dict[int, Books] = {}
        self._plans: dict[int, tuple[Filing, ...]] = {}
        self._years: dict[int, dict[date, list[tuple[Company, Filing]]]] = {}

    @property
    def ciks(self) -> list[int]:
        """Every filer's CIK, delisted ones included."""
        return list(self.registry.by_cik)

    @cached_property
    def truth(self) -> Truth:
        """The generator's own account; see `simulated/truth.py`."""
        from closingbell.sandbox.simulated.truth import Truth

        return Truth(self)

    @cached_property
    def cases(self) -> dict[str, Any]:
        """Where each special case is: name -> CIK, or ticker where one is meant."""
        tickers, cik = self.registry.tickers, self.registry.cik
        names = {
            "plain": made.PLAIN,
            "bank": made.BANK,
            "weeks_52_53": made.WEEKS_52_53,
            "off_calendar_year": made.OFF_CALENDAR,
            "restated_comparative": made.RECAST,
            "amended_year": made.AMENDED_YEAR,
            "two_filings_one_day": made.AMENDED_YEAR,
            "amended_quarter": made.AMENDED_QUARTER,
            "tag_change": made.TAG_CHANGE,
            "component_revenue": made.COMPONENT_REVENUE,
            "loss_making": made.LOSSES,
            "negative_equity": made.NEGATIVE_EQUITY,
            "bankrupt": made.BANKRUPT,
            "forward_split": made.FORWARD_SPLIT,
            "reverse_split": made.REVERSE_SPLIT,
            "two_classes": made.TWO_CLASSES,
            "class_ratio": made.CLASS_RATIO,
            "ticker_change": made.RENAMED,
            "acquired": made.ACQUIRED,
            "reuses_ticker": made.REUSES_TICKER,
            "ipo": made.IPO,
            "ifrs": made.IFRS,
            "illiquid": made.AMENDED_QUARTER,
            "dividends": made.PLAIN,
            "missing_concepts": made.BANK,
        }
        found: dict[str, Any] = {name: cik(index) for name, index in names.items()}
        renamed = self.registry[made.RENAMED].listings[0]
        found |= {
            "old_ticker": renamed.tickers[0][0],
            "new_ticker": renamed.tickers[1][0],
            "reused_ticker": tickers[made.ACQUIRED],
            "garbage_ticker": GARBAGE,
            "class_a_ticker": self.registry[made.CLASS_RATIO].listings[1].tickers[0][0],
            "class_b_ticker": self.registry[made.CLASS_RATIO].listings[0].tickers[0][0],
        }
        return found

    # Making, on demand

    def company(self, cik: int | str) -> Company:
        """The company of a CIK; NotServed where there is none."""
        try:
            return self.registry.of_cik(int(cik))
        except (KeyError, ValueError):
            raise NotServed(f"CIK {cik}: no such filer in the simulated market (seed {self.seed})") from None

    def books(self, company: Company) -> Books:
        """Statements of a company, kept once made."""
        if company.index not in self._books:
            self._books[company.index] = Books(company)
        return self._books[company.index]

    def filings(self, company: Company) -> tuple[Filing, ...]:
        """Filings of a company, without making its statements."""
        if company.index not in self._plans:
            self._plans[company.index] = plan_filings(company)[0]
        return self._plans[company.index]

    def _filed_on(self, day: date) -> list[tuple[Company, Filing]]:
        if day.year not in self._years:
            days: dict[date, list[tuple[Company, Filing]]] = {}
            for index in range(len(self.registry)):
                company = self.registry[index]
                for filing in plan_filings(company, day.year)[0]:
                    days.setdefault(filing.filed_on, []).append((company, filing))
            self._years[day.year] = days
        return self._years[day.year].get(day, [])

    # SEC EDGAR

    def company_tickers(self, now: datetime) -> dict[str, dict[str, Any]]:
        """company_tickers.json: listed tickers only, largest company first."""
        today, rows = self.vendors.today(utc(now)), []
        for listing in self.vendors.listings():
            company = self.registry[listing.company]
            if (ticker := listing.ticker_on(today)) is not None:
                worth = company.price_2022 * company.shares_2022
                rows.append(
                    (
                        -worth,
                        ticker,
                        {"cik_str": company.cik, "ticker": ticker.replace(".", "-"), "title": company.name},
                    )
                )
        return {str(number): row for number, (_, _, row) in enumerate(sorted(rows, key=lambda r: r[:2]))}

    def submissions(self, cik: int | str, now: datetime) -> dict[str, Any]:
        """CIK##########.json of data.sec.gov/submissions."""
        company = self.company(cik)
        return sec.submissions(company, self.filings(company), utc(now))

    def submissions_page(self, name: str, now: datetime) -> dict[str, Any]:
        """CIK##########-submissions-001.json: the older filings' columns."""
        matched = re.fullmatch(r"CIK(\d{10})-submissions-001\.json", name)
        if matched is None:
            raise NotServed(f"{name}: no such page of submissions")
        company = self.company(matched[1])
        page = sec.submissions_page(company, self.filings(company), utc(now))
        if not page["accessionNumber"]:
            raise NotServed(f"{name}: this company's filings fit its first page")
        return page

    def companyfacts(self, cik: int | str, now: datetime) -> dict[str, Any]:
        """CIK##########.json of data.sec.gov/api/xbrl/companyfacts; NotServed before the first filing with facts."""
        answer = sec.company_facts(self.books(self.company(cik)), utc(now))
        if not answer["facts"]:
            raise NotServed(f"CIK {cik}: no facts are filed yet at {now}")
        return answer

    @cached_property
    def institutions(self) -> Institutions:
        """The managers that file Form 13F, and their own account; see `simulated/institutions.py`."""
        from closingbell.sandbox.simulated.institutions import Institutions

        return Institutions(self.registry, self.bars)

    def form13f_sets(self, now: datetime) -> str:
        return self.institutions.sets_page(utc(now))

    def form13f_set(self, name: str, now: datetime) -> bytes:
        return self.institutions.data_set(name, utc(now))

    def form13f_filing(self, accession_no: str, now: datetime) -> str:
        return self.institutions.submission(accession_no, utc(now))

    def fails_to_deliver_files(self, now: datetime) -> str:
        return self.institutions.fails_page(utc(now))

    def fails_to_deliver(self, name: str, now: datetime) -> bytes:
        return self.institutions.fails(name, utc(now))

    @cached_property
    def insiders(self) -> Insiders:
        """Ownership filings of the companies' insiders; see `simulated/insiders.py`."""
        from closingbell.sandbox.simulated.insiders import Insiders

        return Insiders(self.registry)

    def getcurrent(self, form: str, start: int, count: int, now: datetime) -> str:
        """A page of the feed of filings accepted lately; simulated are the ownership forms."""
        return self.insiders.feed(form, start, count, utc(now))

    def ownership(self, accession_no: str, now: datetime) -> str | None:
        """The full submission of an ownership filing."""
        return self.insiders.submission(accession_no, utc(now))

    def daily_index(self, day: date, now: datetime) -> str:
        """form.YYYYMMDD.idx; NotServed before 22:00 New York of `day` and on days without filings."""
        rows: list[Any] = [*self._filed_on(day), *((report, report) for report in self.institutions.filed_on(day))]
        rows += [(line, line) for line in self.insiders.indexed(day)]
        if not rows or utc(now) < sec.index_ready(day):
            raise NotServed(f"no daily index of {day} at {now}")
        return sec.daily_index(day, rows)

    # Polygon

    def grouped_daily(self, session: date, now: datetime) -> list[dict[str, Any]]:
        """Unadjusted bars of all tickers; [] while there are none."""
        return self.vendors.grouped_daily(session, utc(now))

    def polygon_tickers(self, active: bool, now: datetime) -> list[dict[str, Any]]:
        return self.vendors.tickers(active, utc(now))

    def polygon_splits(self, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        return self.vendors.splits(first, last, utc(now))

    def polygon_dividends(self, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        return self.vendors.dividends(first, last, utc(now))

    def ticker_details(self, ticker: str, day: date | None, now: datetime) -> dict[str, Any]:
        return self.vendors.details(ticker, day, utc(now))

    def ticker_events(self, ticker: str, now: datetime) -> dict[str, Any]:
        return self.vendors.events(ticker, utc(now))

    # Tiingo and Yahoo

    def tiingo_prices(self, ticker: str, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        return self.vendors.tiingo_prices(ticker, first, last, utc(now))

    def tiingo_daily_all(self, now: datetime) -> list[dict[str, Any]]:
        return self.vendors.tiingo_daily_all(utc(now))

    def tiingo_supported(self, now: datetime) -> str:
        return self.vendors.tiingo_supported(utc(now))

    def yahoo_chart(self, ticker: str, first: date, last: date, now: datetime) -> dict[str, Any]:
        return self.vendors.yahoo_chart(ticker, first, last, utc(now))

    # Benzinga

    @cached_property
    def ratings(self) -> Ratings:
        """The analysts' ratings, with their own account; see `simulated/ratings.py`."""
        from closingbell.sandbox.simulated.ratings import Ratings

        return Ratings(self.registry)

    def benzinga_ratings(
        self, tickers: tuple[str, ...], first: date | None, last: date | None, since: datetime | None, now: datetime
    ) -> list[dict[str, Any]]:
        return self.ratings.calendar(tickers, first, last, since, utc(now))

    def benzinga_removed(self, since: datetime | None, now: datetime) -> list[dict[str, Any]]:
        return self.ratings.removed(since, utc(now))

    # News

    @cached_property
    def news(self) -> News:
        """The market's stories, and every vendor's copies of them."""
        from closingbell.sandbox.simulated.news import News

        return News(self.registry, self.vendors, self.seed)

    def polygon_news(
        self, first: datetime, last: datetime | None, ticker: str | None, now: datetime
    ) -> list[dict[str, Any]]:
        return self.news.polygon(utc(first), last, ticker, utc(now))

    def tiingo_news(self, first: date, last: date, tickers: list[str], now: datetime) -> list[dict[str, Any]]:
        return self.news.tiingo(first, last, tickers, utc(now))

    def marketaux_news(self, symbol: str, after: datetime, now: datetime) -> list[dict[str, Any]]:
        return self.news.marketaux(symbol, utc(after), utc(now))

    def web_page(self, host: str, path: str, now: datetime) -> bytes | None:
        return self.news.page(host, path, utc(now))

    def gemini_answer(self, body: bytes, model: str) -> dict[str, Any]:
        return self.news.judged(body, model)

    # Reference data

    @cached_property
    def members(self) -> list[int]:
        """Companies of the simulated S&P 500, by size: the largest that were listed from the start."""
        old = [
            i
            for i in range(len(self.registry))
            if self.registry[i].first_session == self.first_session and i != made.IFRS
        ]
        old.sort(key=lambda i: -self.registry[i].price_2022 * self.registry[i].shares_2022)
        return old[: min(500, int(SP500_SHARE * len(self.registry)))]

    def sp500_csv(self, now: datetime) -> str:
        """Members at `now` in the columns of the public constituents file."""
        today, out = self.vendors.today(utc(now)), io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(SP500_HEADER.split(","))
        rows = []
        for index in self.members:
            company = self.registry[index]
            for listing in company.listings:
                if (ticker := listing.ticker_on(today)) is not None and listing.per_base == 1:
                    rows.append(
                        [
                            ticker,
                            company.name,
                            company.sector.name,
                            company.sector.sub_industry,
                            f"{company.city}, {company.state}",
                            f"{2000 + index % 20}-03-04",
                            company.cik,
                            1900 + index % 100,
                        ]
                    )
        writer.writerows(sorted(rows))
        return out.getvalue()

    def fortune500_csv(self) -> str:
        """The operator's file: the largest by revenue (500 at most); RANK, NAME, for most rows SYMBOL and SECTOR."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        header = (
            "FID,OBJECTID,RANK,NAME,ADDRESS,ADDRESS2,CITY,STATE,ZIP,COUNTY,EMPLOYEES,REVENUES,LATITUDE,LONGITUDE,SOURCE,"
            "PRC,COUNTYFIPS,COMMENTS,WEBSITE,PROFIT,SYMBOL,SECTOR"
        )
        writer.writerow(header.split(","))
        names = sorted(range(len(self.registry)), key=lambda i: -self.registry[i].revenue_2021)[:500]
        for rank, index in enumerate(names, 1):
            company = self.registry[index]
            symbol = "" if rank % 10 == 0 else company.listings[0].tickers[-1][0]
            writer.writerow(
                [
                    rank,
                    rank,
                    rank,
                    company.name.upper(),
                    "100 MARKET STREET",
                    "NOT AVAILABLE",
                    company.city.upper(),
                    company.state,
                    "00000",
                    "NOT AVAILABLE",
                    1000 + index,
                    round(company.revenue_2021 / 1e6),
                    40.0,
                    -75.0,
                    "SIMULATED",
                    "ADDRESS",
                    "00000",
                    "NOT AVAILABLE",
                    "HTTPS://WWW.EXAMPLE.COM/",
                    round(company.revenue_2021 / 1e7, 1),
                    symbol,
                    company.sector.name if symbol else "",
                ]
            )
        return out.getvalue()

    def close(self, session: date) -> datetime:
        """Close of a session of the market, UTC."""
        return self.bars.closes[self.bars.position[session]]

    def evening(self, day: date) -> datetime:
        """18:05 New York of `day`: a clock for tests that ask what that evening knew."""
        return utc(new_york(day, 18, 5))
