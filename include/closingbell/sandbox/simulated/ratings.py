"""Benzinga of the simulated market: thirty firms with their own words, corrections, removals, words nobody knows.

Comes in: the registry of companies. Goes out: rows as Benzinga's calendar has them at a moment, and `truth` and
`consensus`, made from the generator's own events and by loops, not from any row. Each company's events are drawn from a
stream of their own, when they are asked for. Times are New York's; a rating bears the ticker of its day.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from closingbell.sandbox.simulated.companies import (
    FIRST_SESSION,
    LAST_SESSION,
    NEW_YORK,
    Company,
    Listing,
    Registry,
    stream,
)

RATINGS = 22  # the purpose of these random streams
BY_NUMBER = {5: "strong_buys", 4: "buys", 3: "holds", 2: "sells", 1: "strong_sells"}
_WORDS = (  # 5 to 1, as different houses write them
    ("Strong Buy", "Buy", "Hold", "Sell", "Strong Sell"),
    ("Conviction Buy", "Buy", "Neutral", "Sell", "Conviction Sell"),
    ("Top Pick", "Outperform", "Sector Perform", "Underperform", "Strong Sell"),
    ("Top Pick", "Overweight", "Equal-Weight", "Underweight", "Strong Sell"),
    ("Best Idea", "Overweight", "Sector Weight", "Underweight", "Strong Sell"),
    ("Strong Buy", "Outperform", "Market Perform", "Underperform", "Strong Sell"),
    ("Strong Buy", "Positive", "In-Line", "Negative", "Strong Sell"),
    ("Action List Buy", "Accumulate", "Hold", "Reduce", "Strong Sell"),
    ("Strong Buy", "Mkt Outperform", "Mkt Perform", "Mkt Underperform", "Strong Sell"),
    ("Strong Buy", "Sector Outperform", "Sector Perform", "Sector Underperform", "Strong Sell"),
)
_UNKNOWN = ("Moonshot", "Watch Closely", "Selective")
_NAMES = (
    "Ardley & Stone", "Bellhaven", "Calder Securities", "Dunmore Research", "Easterly Capital", "Fairholt",
    "Garrick Partners", "Hollis & Company", "Inverness Equity", "Jessop Research", "Kingsmere", "Lattimer", "Marchmont",
    "Northgate Securities", "Oakhurst", "Pemberton Capital", "Quayside", "Ravenscroft", "Selwyn Brothers", "Thornbury",
    "Underhill Research", "Valcour", "Westerham", "Yardley & Sons", "Zennor Capital", "Ashgrove", "Brackenbury",
    "Coldharbour", "Denholm", "Maple Leaf Securities",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Firm:
    """A broker: its words for 5 to 1, and the currency of its targets."""

    name: str
    words: tuple[str, ...]
    currency: str = "USD"

    def word(self, number: int) -> str:
        """What it calls a rating of this number."""
        return self.words[5 - number]


FIRMS = tuple(
    Firm(name, _WORDS[index % len(_WORDS)], "CAD" if name.startswith("Maple") else "USD")
    for index, name in enumerate(_NAMES)
)


@dataclass(frozen=True, slots=True)
class Event:
    """One rating. `known` is when this version was posted; a correction is another Event of the same id."""

    rating_id: str
    company: int
    ticker: str
    figi: str
    firm: Firm
    analyst: str
    at: datetime  # New York
    timed: bool
    known: datetime  # UTC
    action: str
    target_action: str
    number: int | None  # None: the coverage ends
    before: int | None
    target: float | None
    target_before: float | None
    unknown_word: str = ""
    removed: datetime | None = None  # UTC

    @property
    def word(self) -> str:
        """The firm's word as it was printed."""
        return self.unknown_word or (self.firm.word(self.number) if self.number else "")


@dataclass
class Ratings:
    """The calendar of one market."""

    registry: Registry
    _made: dict[int, list[Event]] = field(default_factory=dict)

    # what the vendor serves

    def calendar(
        self,
        tickers: Sequence[str],
        first: date | None,
        last: date | None,
        since: datetime | None,
        now: datetime,
    ) -> list[dict[str, Any]]:
        """Rows of Benzinga's calendar, newest first; changed since a moment: the oldest change first."""
        rows = [
            event
            for event in self._standing(self._companies(tickers), now)
            if (not tickers or event.ticker in tickers)
            and (first is None or event.at.date() >= first)
            and (last is None or event.at.date() <= last)
            and (since is None or event.known >= since)
        ]
        if since is not None:
            rows.sort(key=lambda event: (event.known, event.rating_id))
        else:
            rows.sort(key=lambda event: (event.at, event.rating_id), reverse=True)
        return [self._row(event) for event in rows]

    def removed(self, since: datetime | None, now: datetime) -> list[dict[str, Any]]:
        """Rows of Benzinga's list of removed entries, the oldest removal first."""
        if since is not None and since > now:  # no company needs to be made for that
            return []
        gone = {
            event.rating_id: event.removed
            for index in range(len(self.registry))
            for event in self.events(index)
            if event.removed and event.removed <= now and (since is None or event.removed >= since)
        }
        return [
            {"id": rating_id, "type": "ratings", "updated": int(moment.timestamp())}
            for rating_id, moment in sorted(gone.items(), key=lambda item: (item[1], item[0]))
        ]

    # what happened

    def truth(self, now: datetime, tickers: Sequence[str] = (), since: date | None = None) -> pl.DataFrame:
        """Every rating that stood at `now` and has a word somebody knows: id, figi, firm, number, targets, times."""
        rows = [
            {
                "rating_id": event.rating_id,
                "figi": event.figi,
                "ticker": event.ticker,
                "analyst_firm": event.firm.name,
                "analyst_name": event.analyst,
                "action": event.action.split()[0].lower(),
                "rating": event.word or None,
                "rating_numeric": event.number,
                "price_target": event.target,
                "price_target_before": event.target_before,
                "currency": event.firm.currency,
                "rated_at": self._moment(event),
                "known_at": self._known_at(event),
            }
            for event in self._standing(self._companies(tickers), now)
            if not event.unknown_word
            and (not tickers or event.ticker in tickers)
            and (since is None or event.at.date() >= since)
        ]
        times = dict.fromkeys(("rated_at", "known_at"), pl.Datetime("us", "UTC"))
        return pl.DataFrame(rows, schema_overrides=times, infer_schema_length=None).sort("rating_id")

    def consensus(
        self, index: int, close: datetime, since: date, loaded: datetime | None = None
    ) -> dict[str, dict[str, Any]]:
        """figi -> what the ratings of a company given from `since` on amounted to at `close`, firm by firm.

        loaded: they were asked for later, when what had been corrected or removed was to be seen no more.
        """
        began = close.replace(year=close.year - 1)
        found: dict[str, dict[str, Any]] = {}
        for listing in self.registry[index].listings:
            numbers, targets = [], []
            for firm in FIRMS:
                number, target = self._opinion(index, listing, firm, began, close, since, loaded or close)
                if number:
                    numbers.append(number)
                    targets += [target] if target and firm.currency == "USD" else []
            if numbers:
                found[listing.figi] = {
                    "firms": len(numbers),
                    "rating_mean": statistics.fmean(numbers),
                    **{name: numbers.count(number) for number, name in BY_NUMBER.items()},
                    "targets": len(targets),
                    "target_mean": statistics.fmean(targets) if targets else None,
                    "target_median": statistics.median(targets) if targets else None,
                }
        return found

    def _opinion(
        self,
        index: int,
        listing: Listing,
        firm: Firm,
        began: datetime,
        close: datetime,
        since: date,
        loaded: datetime,
    ) -> tuple[int | None, float | None]:
        number: int | None = None
        target: float | None = None
        given = [
            event
            for event in self._standing([index], loaded)
            if event.figi == listing.figi and event.firm is firm and not event.unknown_word
            and event.at.date() >= since and began < self._moment(event) <= close and self._known_at(event) <= close
        ]  # fmt: skip
        for event in sorted(given, key=lambda event: (self._moment(event), event.rating_id)):
            if event.number is None:
                number = target = None
                continue
            number = event.number
            if event.target:
                company = self.registry[index]
                target = event.target / company.split_factor(event.at.date(), close.astimezone(NEW_YORK).date())
        return number, target

    # making

    def events(self, index: int) -> list[Event]:
        """Every version of every rating of a company, in the order of their posting."""
        if index not in self._made:
            company = self.registry[index]
            made = [event for listing in company.listings for event in self._of_listing(company, listing)]
            self._made[index] = sorted(made, key=lambda event: (event.known, event.rating_id))
        return self._made[index]

    def _of_listing(self, company: Company, listing: Listing) -> Iterable[Event]:
        draw = stream(self.registry.seed, RATINGS, company.index * 10 + int(listing.figi[-2]))
        begins = max(FIRST_SESSION, listing.first_session) + timedelta(days=5)
        ends = listing.last_session or LAST_SESSION
        for number in draw.choice(len(FIRMS), size=int(draw.integers(3, 11)), replace=False):
            firm = FIRMS[int(number)]
            analyst = f"{'ABCDEFGHJKLM'[int(draw.integers(12))]}. {_NAMES[int(draw.integers(30))].split()[0]}"
            day = begins + timedelta(days=int(draw.integers(0, 200)))
            opinion: int | None = None
            target: float | None = None
            count = 0
            while day <= ends:
                if day.weekday() < 5:
                    before, target_before = opinion, target
                    u = draw.random(8)
                    if opinion is None:
                        opinion, action, word = (
                            (5, 4, 4, 4, 3, 3, 3, 2)[int(u[0] * 8)],
                            "Initiates Coverage On",
                            "Announces",
                        )
                    elif u[1] < 0.03:
                        opinion, action, word = None, "Terminates Coverage On", "Removes"
                    elif u[1] < 0.25:
                        opinion = min(5, max(1, opinion + (1 if u[2] < 0.5 else -1)))
                        action = (
                            "Maintains"
                            if opinion == before
                            else "Upgrades"
                            if opinion > (before or 0)
                            else "Downgrades"
                        )
                        word = "Maintains"
                    else:
                        action, word = ("Maintains" if u[2] < 0.6 else "Reiterates"), "Maintains"
                    target = None
                    if opinion is not None and u[3] < 0.9:
                        target = self._target(company, listing, day, opinion, firm, float(u[4]))
                    if target and target_before and word == "Maintains":
                        word = "Raises" if target > target_before else "Lowers" if target < target_before else word
                    if not target and opinion is not None:
                        word = ""
                    yield from self._versions(
                        company,
                        listing,
                        firm,
                        analyst,
                        day,
                        count,
                        action,
                        word,
                        opinion,
                        before,
                        target,
                        target_before,
                        u,
                    )
                    count += 1
                day += timedelta(days=int(draw.integers(25, 120)))

    def _versions(
        self, company: Company, listing: Listing, firm: Firm, analyst: str, day: date, count: int, action: str,
        target_action: str, number: int | None, before: int | None, target: float | None, target_before: float | None,
        u: Any,
    ) -> Iterable[Event]:  # fmt: skip
        ticker = listing.ticker_on(day)
        if ticker is None:
            return
        seconds = 6 * 3600 + int(u[5] * 13 * 3600)  # 06:00 to 19:00
        at = datetime.combine(day, time(0), NEW_YORK) + timedelta(seconds=seconds)
        posted = (at + timedelta(minutes=1 + int(u[5] * 1e6) % 40)).astimezone(UTC)
        name = f"{self.registry.seed}|{listing.figi}|{firm.name}|{count}"
        event = Event(
            hashlib.blake2b(name.encode(), digest_size=12).hexdigest(), company.index, ticker, listing.figi, firm,
            analyst, at, bool(u[6] > 0.05), posted, action, target_action, number, before, target, target_before,
        )  # fmt: skip
        if u[6] > 0.995 and number is not None:
            event = replace(event, unknown_word=_UNKNOWN[int(u[0] * len(_UNKNOWN))])
        if u[7] < 0.04:
            event = replace(event, removed=posted + timedelta(days=1 + int(u[7] * 2500)))
        elif u[7] < 0.1 and number is not None and target:
            # first posted with a slip of the pen, put right days later
            yield replace(event, number=max(1, number - 1), target=round(target * 1.1, 2))
            event = replace(event, known=posted + timedelta(days=1 + int((u[7] - 0.04) * 1000), hours=3))
        yield event

    def _target(self, company: Company, listing: Listing, day: date, number: int, firm: Firm, u: float) -> float:
        years = (day - FIRST_SESSION).days / 365.25
        price = company.price_2022 * (1 + company.growth) ** years / company.to_basis(day) * listing.per_base
        wanted = price * (0.7 + 0.12 * number + 0.1 * u) * (1.35 if firm.currency == "CAD" else 1.0)
        return max(1.0, round(wanted, 0 if wanted > 20 else 2))

    def _standing(self, companies: Iterable[int], now: datetime) -> list[Event]:
        """The version of each rating that the vendor shows at `now`."""
        newest: dict[str, Event] = {}
        for index in companies:
            for event in self.events(index):
                if event.known <= now:
                    newest[event.rating_id] = event
        return [event for event in newest.values() if event.removed is None or event.removed > now]

    @cached_property
    def _by_ticker(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for index in range(len(self.registry)):
            for listing in self.registry[index].listings:
                for ticker, _, _ in listing.tickers:
                    found.setdefault(ticker, set()).add(index)
        return found

    def _companies(self, tickers: Sequence[str]) -> list[int]:
        if not tickers:
            return list(range(len(self.registry)))
        return sorted({index for ticker in tickers for index in self._by_ticker.get(ticker, ())})

    def _moment(self, event: Event) -> datetime:
        at = event.at if event.timed else datetime.combine(event.at.date(), time(22), NEW_YORK)
        return at.astimezone(UTC)

    def _known_at(self, event: Event) -> datetime:
        return event.known.replace(microsecond=0)  # posted after it was given, whatever the row says of its time

    def _row(self, event: Event) -> dict[str, Any]:
        company, firm = self.registry[event.company], event.firm
        return {
            "id": event.rating_id,
            "date": event.at.date().isoformat(),
            "time": event.at.strftime("%H:%M:%S") if event.timed else "00:00:00",
            "ticker": event.ticker,
            "exchange": "NASDAQ" if company.exchange == "XNAS" else "NYSE",
            "name": company.name,
            "currency": firm.currency,
            "action_pt": event.target_action,
            "action_company": event.action,
            "rating_current": event.word,
            "rating_prior": firm.word(event.before) if event.before else "",
            "pt_current": f"{event.target:,.4f}" if event.target else "",
            "pt_prior": f"{event.target_before:,.4f}" if event.target_before else "",
            "adjusted_pt_current": "",
            "adjusted_pt_prior": "",
            "analyst": firm.name,
            "analyst_id": hashlib.blake2b(event.analyst.encode(), digest_size=12).hexdigest(),
            "analyst_name": event.analyst,
            "importance": 0,
            "notes": "",
            "url": f"https://www.benzinga.com/quote/{event.ticker}/analyst-ratings",
            "url_calendar": f"https://www.benzinga.com/quote/{event.ticker}/analyst-ratings",
            "url_news": f"https://www.benzinga.com/quote/{event.ticker}",
            "updated": int(event.known.timestamp()),
        }
