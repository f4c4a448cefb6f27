"""Ownership filings (Forms 3, 4, 5) of the simulated companies' insiders, as EDGAR serves them.

Comes in: the registry of companies. Goes out: `OwnershipFiling` records, a page of the getcurrent feed, full
submissions (.txt) and what a day's index lists. Sources: SEC, "EDGAR Ownership XML Technical Specification" (schema
X0508), the getcurrent Atom feed. Owners' CIKs start at 7,000,000; one director sits on two boards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any
from xml.sax.saxutils import escape

from closingbell.sandbox.simulated.companies import Company, Listing, Registry, new_york, session_at_or_after, stream
from closingbell.sessions import NEW_YORK

INSIDERS = 20  # purpose of the random streams
FIRST_MONTH, MONTHS = (2024, 6), 19  # to December 2025
OUTSIDE_CIK = 8_900_001
FEED_ENTRIES = 3000
ROLES = ("isDirector", "isOfficer", "isTenPercentOwner", "isOther")


@dataclass(frozen=True, slots=True)
class Owner:
    """A reporting person."""

    cik: int
    name: str
    title: str | None = None
    director: bool = False
    officer: bool = False
    ten_percent: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One transaction of a document. price None: only `note` tells it."""

    derivative: bool
    title: str
    day: date
    code: str
    acquired: bool
    shares: float
    price: float | None
    after: float
    direct: bool = True
    nature: str | None = None
    note: str | None = None
    exercise_price: float | None = None
    expires_on: date | None = None


@dataclass(frozen=True, slots=True)
class OwnershipFiling:
    """One filing. `restates`: of an amendment, for each of its lines the index of the original's line."""

    accession_no: str
    form: str
    issuer_cik: int
    issuer_name: str
    issuer_ticker: str
    figi: str | None  # of the listing it is about; None outside the universe
    owners: tuple[Owner, ...]
    accepted: datetime  # UTC
    filed_on: date
    planned: bool  # 10b5-1
    lines: tuple[Line, ...]
    original: OwnershipFiling | None = None
    restates: tuple[int, ...] = ()

    def rows(self) -> list[tuple[int, Line]]:
        """(row_no, line) in the order of the document, numbered apart in its two tables."""
        counts = {False: 0, True: 0}
        found = []
        for line in self.lines:
            counts[line.derivative] += 1
            found.append((counts[line.derivative], line))
        return found


@dataclass(frozen=True, slots=True)
class Indexed:
    """A line of the daily index: a filing, once for each of its filers."""

    form: str
    name: str
    cik: int
    accession_no: str


class Insiders:
    """All ownership filings of a market, oldest first by acceptance; made once, when they are first asked for."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    @cached_property
    def filings(self) -> list[OwnershipFiling]:
        found = [filing for index in range(len(self.registry)) for filing in _of_company(self.registry[index])]
        found += _of_outsider(self.registry.seed)
        return sorted(found, key=lambda filing: (filing.accepted, filing.accession_no))

    @cached_property
    def by_accession(self) -> dict[str, OwnershipFiling]:
        return {filing.accession_no: filing for filing in self.filings}

    @cached_property
    def by_day(self) -> dict[date, list[OwnershipFiling]]:
        days: dict[date, list[OwnershipFiling]] = {}
        for filing in self.filings:
            days.setdefault(filing.filed_on, []).append(filing)
        return days

    def indexed(self, day: date) -> list[Indexed]:
        """The day's filings, a line for each filer."""
        if day < date(*FIRST_MONTH, 1):
            return []
        return [
            Indexed(filing.form, name, cik, filing.accession_no)
            for filing in self.by_day.get(day, [])
            for name, cik, _ in _filers(filing)
        ]

    def feed(self, form: str, start: int, count: int, now: datetime) -> str:
        """A page of the getcurrent feed: entries from number `start` on, newest first, one for each filer."""
        known = [f for f in self.filings if f.accepted <= now and f.form.startswith(form)]
        entries = [(filing, filer) for filing in known[:-FEED_ENTRIES:-1] for filer in _filers(filing)]
        entries = entries[:FEED_ENTRIES][start : start + min(count, 100)]
        local = now.astimezone(NEW_YORK)
        head = (
            '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n'
            f"<title>Latest Filings - {local:%a, %d %b %Y %H:%M:%S %Z}</title>\n"
            '<link rel="alternate" href="/cgi-bin/browse-edgar?action=getcurrent"/>\n'
            "<id>https://www.sec.gov/cgi-bin/browse-edgar?action=getcurrent</id>\n"
            "<author><name>Webmaster</name><email>webmaster@sec.gov</email></author>\n"
            f"<updated>{local.isoformat(timespec='seconds')}</updated>\n"
        )
        return head + "".join(_entry(filing, filer) for filing, filer in entries) + "</feed>\n"

    def submission(self, accession_no: str, now: datetime) -> str | None:
        """The full submission (.txt); None where it is not filed yet."""
        filing = self.by_accession.get(accession_no)
        return _submission(filing) if filing and filing.accepted <= now else None


def _of_company(company: Company) -> list[OwnershipFiling]:
    draw = stream(company.seed, INSIDERS, company.index)
    u = draw.random((MONTHS, 16)).tolist()
    chief = Owner(
        7_000_001 + 10 * company.index, f"Hart {company.name.split()[0]} J.", "Chief Executive Officer", True, True
    )
    finance = Owner(7_000_002 + 10 * company.index, f"Vale {company.name.split()[0]} M.", "See Remarks", officer=True)
    director = Owner(7_000_003 + 10 * (company.index // 2 * 2), f"Quinn Board {company.index // 2}", director=True)
    fund = Owner(7_000_004 + 10 * company.index, f"{company.name.split()[0]} & Sons Fund LP", ten_percent=True)
    manager = Owner(7_000_005 + 10 * company.index, f"{company.name.split()[0]} Capital LLC", ten_percent=True)
    held = {owner.cik: 20_000.0 + 100 * (company.index % 70) for owner in (chief, finance, director, fund, manager)}
    found: list[OwnershipFiling] = []

    def filed(
        day: date, listing: Listing, owners: tuple[Owner, ...], lines: list[Line], v: list[float], *, form: str = "4",
        planned: bool = False, original: OwnershipFiling | None = None, restates: tuple[int, ...] = (),
    ) -> OwnershipFiling | None:  # fmt: skip
        accepted = _accepted(session_at_or_after(day + timedelta(days=1 + int(v[12] * 2))), v[13], v[14])
        local = accepted.astimezone(NEW_YORK).date()
        ticker = listing.ticker_on(local)
        if ticker is None or (company.stops_filing and local >= company.stops_filing):
            return None
        written = (ticker, f"{'NYSE' if company.exchange == 'XNYS' else 'NASDAQ'}: {ticker}", ticker.lower())
        number = 1 + sum(other.filed_on.year == local.year for other in found)
        filing = OwnershipFiling(
            f"{6_000_000 + company.index:010d}-{local:%y}-{number:06d}", form, company.cik, company.name,
            written[company.index % 3], listing.figi, owners, accepted, local, planned, tuple(lines), original,
            restates,
        )  # fmt: skip
        found.append(filing)
        return filing

    for month, v in enumerate(u):
        months = FIRST_MONTH[0] * 12 + FIRST_MONTH[1] - 1 + month
        first = date(months // 12, months % 12 + 1, 1)
        day = session_at_or_after(first + timedelta(days=int(v[0] * 24)))
        listing = company.listings[month % len(company.listings)]
        if listing.ticker_on(day) is None:
            continue
        price = round(company.price_2022 * company.to_basis(day) * listing.per_base * (0.8 + 0.4 * v[1]), 2)
        title = "Common Stock" if listing.share_class is None else f"Class {listing.share_class} Common Stock"
        lot = float(100 * (1 + int(v[2] * 40)))

        def line(
            owner: Owner, code: str, acquired: bool, shares: float, at: float | None, day: date = day,
            title: str = title, **more: Any,
        ) -> Line:  # fmt: skip
            held[owner.cik] = max(0.0, held[owner.cik] + (shares if acquired else -shares))
            return Line(False, title, day, code, acquired, shares, at, held[owner.cik], **more)

        def option(code: str, acquired: bool, shares: float, strike: float, day: date = day) -> Line:
            return Line(
                True, "Stock Option (Right to Buy)", day, code, acquired, shares, 0.0, shares if acquired else 0.0,
                exercise_price=strike, expires_on=day + timedelta(days=3650),
            )  # fmt: skip

        if month == company.index % MONTHS:
            filed(day, listing, (replace(director, title=None),), [], v, form="3")
        if month % 3 == 0:
            filed(day, listing, (chief,), [line(chief, "A", True, lot, 0.0), option("A", True, lot * 2, price)], v)
        if month % 3 == 1:
            filed(day, listing, (finance,), [line(finance, "F", False, round(lot * 0.37), price)], v)
        amendable: OwnershipFiling | None = None
        if v[3] < 0.30:
            strike = round(price * 0.4, 2)
            note = f"Weighted average; prices ranged from ${price - 0.2:.2f} to ${price + 0.3:.2f} & are on file."
            lines = [
                line(chief, "M", True, lot, strike),
                line(chief, "S", False, round(lot * 0.5), price, note=note),
                line(chief, "S", False, round(lot * 0.3), round(price * 1.01, 4)),
                line(chief, "S", False, lot - round(lot * 0.5) - round(lot * 0.3), round(price * 1.02, 4)),
                option("M", False, lot, strike),
            ]
            amendable = filed(day, listing, (chief,), lines, v, planned=v[4] < 0.6)
        if v[5] < 0.20:
            lines = [line(director, "P", True, lot, price), line(director, "P", True, lot + 50, round(price * 0.99, 4))]
            amendable = filed(day, listing, (director,), lines, v) or amendable
        if v[6] < 0.12:
            code, acquired = ("P", True) if v[7] < 0.6 else ("S", False)
            lines = [line(fund, code, acquired, lot * 5, price, direct=False, nature="By fund")]
            filed(day, listing, (fund, manager), lines, v)
        if v[8] < 0.07:
            note = "The shares were sold at prices that an amendment will state."
            filed(day, listing, (director,), [line(director, "S", False, lot, None, note=note)], v)
        if v[9] < 0.08:
            filed(day, listing, (chief,), [line(chief, "G", False, round(lot * 0.1), 0.0)], v, form="5")
        if amendable and v[10] < 0.4:
            at = 1 if v[11] < 0.5 else len([entry for entry in amendable.lines if not entry.derivative]) - 1
            wrong = amendable.lines[at]
            right = (
                replace(wrong, shares=wrong.shares + 10, after=wrong.after + 10)
                if v[11] < 0.5
                else replace(wrong, price=round((wrong.price or 1.0) + 0.5, 4))
            )
            later = session_at_or_after(amendable.filed_on + timedelta(days=3 + int(v[15] * 35)))
            filed(
                later, listing, amendable.owners, [right], v, form="4/A", planned=amendable.planned,
                original=amendable, restates=(at,),
            )  # fmt: skip
    return found


def _of_outsider(seed: int) -> list[OwnershipFiling]:
    """An issuer without a listing: what it files is stored all the same."""
    u = stream(seed, INSIDERS, 999_999).random((MONTHS, 4)).tolist()
    owner = Owner(7_999_999, "Private Harbor Partners LP", ten_percent=True)
    found = []
    for month, v in enumerate(u):
        months = FIRST_MONTH[0] * 12 + FIRST_MONTH[1] - 1 + month
        day = session_at_or_after(date(months // 12, months % 12 + 1, 1 + int(v[0] * 24)))
        accepted = _accepted(session_at_or_after(day + timedelta(days=1)), v[1], v[2])
        local = accepted.astimezone(NEW_YORK).date()
        line = Line(False, "Common Shares", day, "P", True, float(100 + month), 25.0 + month, 1000.0 + month)
        found.append(
            OwnershipFiling(
                f"{6_999_999:010d}-{local:%y}-{month + 1:06d}",
                "4",
                OUTSIDE_CIK,
                "Unlisted Harbor Trust",
                "NONE",
                None,
                (owner,),
                accepted,
                local,
                False,
                (line,),
            )
        )
    return found


def _accepted(day: date, u: float, v: float) -> datetime:
    """Two thirds after the close; EDGAR takes ownership forms of a day until 22:00."""
    minute = 16 * 60 + 1 + int(v * 349) if u < 0.69 else 8 * 60 + int(v * 479)
    return new_york(day, minute // 60, minute % 60, int(u * 6000) % 60).astimezone(UTC)


def _filers(filing: OwnershipFiling) -> list[tuple[str, int, str]]:
    """(name, CIK, role) of each filer, in the feed's order."""
    return [(owner.name, owner.cik, "Reporting") for owner in filing.owners] + [
        (filing.issuer_name, filing.issuer_cik, "Issuer")
    ]


def _entry(filing: OwnershipFiling, filer: tuple[str, int, str]) -> str:
    name, cik, role = filer
    accession = filing.accession_no
    address = f"https://www.sec.gov/Archives/edgar/data/{cik}/{accession.replace('-', '')}/{accession}-index.htm"
    return (
        f"<entry>\n<title>{filing.form} - {escape(name)} ({cik:010d}) ({role})</title>\n"
        f'<link rel="alternate" type="text/html" href="{address}"/>\n<summary type="html">\n'
        f" &lt;b&gt;Filed:&lt;/b&gt; {filing.filed_on} &lt;b&gt;AccNo:&lt;/b&gt; {accession} "
        "&lt;b&gt;Size:&lt;/b&gt; 8 KB\n"
        f"</summary>\n<updated>{filing.accepted.astimezone(NEW_YORK).isoformat(timespec='seconds')}</updated>\n"
        f'<category scheme="https://www.sec.gov/" label="form type" term="{filing.form}"/>\n'
        f"<id>urn:tag:sec.gov,2008:accession-number={accession}</id>\n</entry>\n"
    )


def _submission(filing: OwnershipFiling) -> str:
    day = f"{filing.filed_on:%Y%m%d}"
    people = "".join(
        f"REPORTING-OWNER:\n\n\tOWNER DATA:\n\t\tCOMPANY CONFORMED NAME:\t\t\t{owner.name}\n"
        f"\t\tCENTRAL INDEX KEY:\t\t\t{owner.cik:010d}\n\n"
        for owner in filing.owners
    )
    return (
        f"<SEC-DOCUMENT>{filing.accession_no}.txt : {day}\n<SEC-HEADER>{filing.accession_no}.hdr.sgml : {day}\n"
        f"<ACCEPTANCE-DATETIME>{filing.accepted.astimezone(NEW_YORK):%Y%m%d%H%M%S}\n"
        f"ACCESSION NUMBER:\t\t{filing.accession_no}\nCONFORMED SUBMISSION TYPE:\t{filing.form}\n"
        f"PUBLIC DOCUMENT COUNT:\t\t1\nFILED AS OF DATE:\t\t{day}\nDATE AS OF CHANGE:\t\t{day}\n\n{people}"
        f"ISSUER:\n\n\tCOMPANY DATA:\n\t\tCOMPANY CONFORMED NAME:\t\t\t{filing.issuer_name}\n"
        f"\t\tCENTRAL INDEX KEY:\t\t\t{filing.issuer_cik:010d}\n</SEC-HEADER>\n"
        f"<DOCUMENT>\n<TYPE>{filing.form}\n<SEQUENCE>1\n<FILENAME>form4.xml\n<TEXT>\n<XML>\n"
        f"{_xml(filing)}</XML>\n</TEXT>\n</DOCUMENT>\n</SEC-DOCUMENT>\n"
    )


def _xml(filing: OwnershipFiling) -> str:
    notes = {note: f"F{n}" for n, note in enumerate((line.note for line in filing.lines if line.note), 1)}
    tables = "".join(
        f"<{name}Table>\n{''.join(_transaction(line, notes) for line in filing.lines if line.derivative == derivative)}"
        f"</{name}Table>\n"
        for name, derivative in (("nonDerivative", False), ("derivative", True))
    )
    original = (
        f"<dateOfOriginalSubmission>{filing.original.filed_on}</dateOfOriginalSubmission>\n" if filing.original else ""
    )
    footnotes = "".join(f'<footnote id="{id_}">{escape(note)}</footnote>\n' for note, id_ in notes.items())
    return (
        '<?xml version="1.0"?>\n<ownershipDocument>\n<schemaVersion>X0508</schemaVersion>\n'
        f"<documentType>{filing.form}</documentType>\n"
        f"<periodOfReport>{_period(filing)}</periodOfReport>\n{original}"
        f"<issuer>\n<issuerCik>{filing.issuer_cik:010d}</issuerCik>\n<issuerName>{escape(filing.issuer_name)}</issuerName>\n"
        f"<issuerTradingSymbol>{escape(filing.issuer_ticker)}</issuerTradingSymbol>\n</issuer>\n"
        f"{''.join(_owner(owner) for owner in filing.owners)}"
        f"<aff10b5One>{int(filing.planned)}</aff10b5One>\n{tables}"
        f"<footnotes>\n{footnotes}</footnotes>\n<remarks>Chief Financial Officer</remarks>\n"
        f"<ownerSignature>\n<signatureName>/s/ {escape(filing.owners[0].name)}</signatureName>\n"
        f"<signatureDate>{filing.filed_on}</signatureDate>\n</ownerSignature>\n</ownershipDocument>\n"
    )


def _period(filing: OwnershipFiling) -> date:
    return filing.lines[0].day if filing.lines else filing.filed_on - timedelta(days=1)


def _owner(owner: Owner) -> str:
    flags = zip(ROLES, (owner.director, owner.officer, owner.ten_percent, False), strict=True)
    roles = "".join(f"<{role}>{'true' if held else '0'}</{role}>\n" for role, held in flags)
    title = f"<officerTitle>{escape(owner.title)}</officerTitle>\n" if owner.title else ""
    return (
        f"<reportingOwner>\n<reportingOwnerId>\n<rptOwnerCik>{owner.cik:010d}</rptOwnerCik>\n"
        f"<rptOwnerName>{escape(owner.name)}</rptOwnerName>\n</reportingOwnerId>\n"
        f"<reportingOwnerRelationship>\n{roles}{title}</reportingOwnerRelationship>\n</reportingOwner>\n"
    )


def _transaction(line: Line, notes: dict[str, str]) -> str:
    kind = "derivativeTransaction" if line.derivative else "nonDerivativeTransaction"
    price = f"<value>{line.price:.10g}</value>" if line.price is not None else ""
    mark = f'<footnoteId id="{notes[line.note]}"/>' if line.note else ""
    option = ending = underlying = ""
    if line.derivative:
        option = f"<conversionOrExercisePrice><value>{line.exercise_price:.10g}</value></conversionOrExercisePrice>\n"
        ending = f"<expirationDate><value>{line.expires_on}</value></expirationDate>\n"
        underlying = (
            "<underlyingSecurity><underlyingSecurityTitle><value>Common Stock</value></underlyingSecurityTitle>"
            f"<underlyingSecurityShares><value>{line.shares:.10g}</value></underlyingSecurityShares></underlyingSecurity>\n"
        )
    nature = f"<natureOfOwnership><value>{escape(line.nature)}</value></natureOfOwnership>" if line.nature else ""
    return (
        f"<{kind}>\n<securityTitle><value>{escape(line.title)}</value></securityTitle>\n{option}"
        f"<transactionDate><value>{line.day}</value></transactionDate>\n"
        f"<transactionCoding><transactionFormType>4</transactionFormType><transactionCode>{line.code}</transactionCode>"
        "<equitySwapInvolved>0</equitySwapInvolved></transactionCoding>\n"
        f"<transactionAmounts><transactionShares><value>{line.shares:.10g}</value></transactionShares>"
        f"<transactionPricePerShare>{price}{mark}</transactionPricePerShare>"
        f"<transactionAcquiredDisposedCode><value>{'A' if line.acquired else 'D'}</value>"
        f"</transactionAcquiredDisposedCode></transactionAmounts>\n{ending}{underlying}"
        f"<postTransactionAmounts><sharesOwnedFollowingTransaction><value>{line.after:.10g}</value>"
        "</sharesOwnedFollowingTransaction></postTransactionAmounts>\n"
        f"<ownershipNature><directOrIndirectOwnership><value>{'D' if line.direct else 'I'}</value>"
        f"</directOrIndirectOwnership>{nature}</ownershipNature>\n</{kind}>\n"
    )
