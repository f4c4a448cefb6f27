"""The institutions of the simulated market: their 13F filings, singly and in data sets, and fails-to-deliver files.

Comes in: the companies and their bars. Goes out: vendor-shaped bodies (SEC, "Form 13F Data Sets" readme, "EDGAR Form
13F XML Technical Specification", "Fails-to-Deliver Data") and the filings themselves, from which truth is told. Forty
managers report each quarter from 2022 on; the first ones play the parts named below. None is a real institution.
"""

from __future__ import annotations

import io
import zipfile
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from xml.sax.saxutils import escape

import numpy as np

from closingbell.institutions import catalog
from closingbell.sandbox.simulated import companies as made
from closingbell.sandbox.simulated.bars import Bars
from closingbell.sandbox.simulated.companies import Listing, Registry, new_york, session_at_or_after, stream
from closingbell.sandbox.simulated.prices import NotServed

MANAGERS = 40
FIRST_QUARTER = date(2022, 3, 31)
DOLLARS_FROM = date(2023, 1, 3)
WRONG_UNTIL = date(2024, 7, 1)  # the one that goes on in thousands notices then
HOLDINGS_STREAM = 210  # beside the purposes of companies.py

# The special managers; the others just hold.
PARENT, SUBSIDIARY, NOTICE, WRONG_UNIT, OPTIONS, RESTATES, ADDS, LATE, BONDS, MISCOUNTS, EATS_ZEROS = range(11)
FUND_CUSIP, FUND_SYMBOL, BOND_CUSIP = "9ZZ999AA6", "ZZFND", "9ZY888BC1"

NAMES = ("Harbor", "Granite", "Summit", "Beacon", "Cedar", "Prairie", "Anchor", "Juniper", "Meridian", "Falcon")
KINDS = ("Capital Management", "Advisors", "Asset Management", "Investment Partners")
INFO_COLUMNS = [
    "ACCESSION_NUMBER", "INFOTABLE_SK", "NAMEOFISSUER", "TITLEOFCLASS", "CUSIP", "FIGI", "VALUE", "SSHPRNAMT",
    "SSHPRNAMTTYPE", "PUTCALL", "INVESTMENTDISCRETION", "OTHERMANAGER", "VOTING_AUTH_SOLE", "VOTING_AUTH_SHARED",
    "VOTING_AUTH_NONE",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an information table. dollars: what it is worth; `listing` is None for funds and bonds."""

    listing: Listing | None
    cusip: str
    issuer: str
    title: str
    shares: int | None
    principal: int | None
    dollars: int
    put_call: str | None = None
    others: str | None = None


Lines = Callable[[], tuple[Line, ...]]


@dataclass(frozen=True)
class Report:
    """One 13F filing. unit: dollars in one of its values; its lines are made when somebody asks for them."""

    manager: int
    accession_no: str
    form: str
    quarter: date
    accepted: datetime
    amendment: str | None
    unit: int
    make: Lines

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        return self.make()

    @property
    def declared(self) -> int:
        """The entries its summary page names."""
        return len(self.lines) + (self.manager == MISCOUNTS)

    @property
    def cik(self) -> int:
        return manager_cik(self.manager)

    @property
    def name(self) -> str:
        return manager_name(self.manager)

    @property
    def filed_on(self) -> date:
        return self.accepted.astimezone(made.NEW_YORK).date()

    @property
    def is_notice(self) -> bool:
        return self.form.startswith("13F-NT")

    def value(self, line: Line) -> int:
        """A line's value as reported."""
        return round(line.dollars / self.unit)


def manager_cik(manager: int) -> int:
    return 9_600_000 + manager


def manager_name(manager: int) -> str:
    return f"{NAMES[manager % 10]} {KINDS[manager // 10 % 4]} LLC"


def cusip_of(listing: Listing, number: int, day: date, registry: Registry) -> str:
    """The CUSIP of a company's listing on a day: a new one with a new name or a reverse split."""
    company = registry[listing.company]
    changes = sum(split.numerator < split.denominator and split.ex_date <= day for split in company.splits)
    changes += sum(first <= day for _, first, _ in listing.tickers[1:])
    base = f"{100 + (listing.company * 7919 + 12_345) % 99_900:06d}{10 * (number + 1) + changes}"
    return base + _check_digit(base)


def _check_digit(base: str) -> str:
    total = 0
    for place, sign in enumerate(base):
        value = int(sign, 36) * (1 + place % 2)
        total += value // 10 + value % 10
    return str(-total % 10)


class Institutions:
    """All of the market's 13F filings and fails-to-deliver files, quarter by quarter as they are asked for."""

    def __init__(self, registry: Registry, bars: Bars) -> None:
        self.registry, self.bars = registry, bars
        self._reports: dict[date, list[Report]] = {}
        self._days: dict[date, list[Report]] = {}
        self._closes: dict[date, list[tuple[Listing, float]]] = {}
        self._draws: dict[str, tuple[np.ndarray, ...]] = {}

    @cached_property
    def quarters(self) -> list[date]:
        """Quarter ends with reports, in order."""
        last = catalog.last_quarters(made.LAST_SESSION, 1)[0]
        ends = [FIRST_QUARTER]
        while ends[-1] < last:
            ends.append(catalog.next_quarter(ends[-1]))
        return ends

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Place of a listing among its company's, by FIGI."""
        return {
            listing.figi: number
            for index in range(len(self.registry))
            for number, listing in enumerate(self.registry[index].listings)
        }

    def cusip(self, listing: Listing, day: date) -> str:
        return cusip_of(listing, self._numbers[listing.figi], day, self.registry)

    # -- the filings ----------------------------------------------------------------------------------------------

    def reports(self, quarter: date) -> list[Report]:
        """Every filing about a quarter, amendments included, in the order of acceptance."""
        if quarter not in self._reports:
            made_of = [report for manager in range(MANAGERS) for report in self._of_manager(manager, quarter)]
            self._reports[quarter] = sorted(made_of, key=lambda report: (report.accepted, report.accession_no))
        return self._reports[quarter]

    def known(self, now: datetime) -> list[Report]:
        """Every filing accepted by then."""
        return [report for quarter in self.quarters for report in self.reports(quarter) if report.accepted <= now]

    def filed_between(self, first: date, last: date) -> list[Report]:
        """Filings dated in these days, both included."""
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return [report for day in days for report in self.filed_on(day)]

    def filed_on(self, day: date) -> list[Report]:
        """Filings dated that day."""
        if not self._days:
            for report in self.known(datetime.max.replace(tzinfo=UTC)):
                self._days.setdefault(report.filed_on, []).append(report)
        return self._days.get(day, [])

    def _of_manager(self, manager: int, quarter: date) -> Iterator[Report]:
        number = self.quarters.index(quarter)
        days = 75 if manager == LATE else 18 + manager * 7 % 27
        if manager == NOTICE:
            yield self._report(manager, quarter, days, "13F-NT", None, tuple)
            return

        def held() -> tuple[Line, ...]:
            return self._lines(manager, quarter)

        amended = "13F-HR/A"
        if manager == RESTATES and number % 2 == 0:
            yield self._report(manager, quarter, days, "13F-HR", None, lambda: _three_times_ten(held()))
            yield self._report(manager, quarter, days + 25, amended, "RESTATEMENT", held)
        elif manager == ADDS and number % 2 == 1:
            yield self._report(manager, quarter, days, "13F-HR", None, lambda: held()[:-2])
            yield self._report(manager, quarter, days + 40, amended, "NEW HOLDINGS", lambda: held()[-2:])
        else:
            yield self._report(manager, quarter, days, "13F-HR", None, held)
            if manager == LATE and number % 4 == 1:  # over a year late: one position was another's
                yield self._report(manager, quarter, 400, amended, "RESTATEMENT", lambda: held()[1:])

    def _report(self, manager: int, quarter: date, days: int, form: str, amendment: str | None, lines: Lines) -> Report:
        day = session_at_or_after(quarter + timedelta(days=days))
        hour = 16 + manager % 5 if manager % 3 == 0 else 9 + manager % 6
        accepted = new_york(day, hour, 10 + manager, 7)
        in_thousands = day < DOLLARS_FROM or (manager == WRONG_UNIT and day < WRONG_UNTIL)
        sequence = 10 * self.quarters.index(quarter) + (5 if amendment else 1)
        return Report(
            manager=manager,
            accession_no=f"{manager_cik(manager):010d}-{day.year % 100:02d}-{sequence:06d}",
            form=form,
            quarter=quarter,
            accepted=accepted,
            amendment=amendment,
            unit=1000 if in_thousands else 1,
            make=lines,
        )

    def _lines(self, manager: int, quarter: date) -> tuple[Line, ...]:
        own = self._held(manager, quarter)
        if manager == PARENT:  # half of what the subsidiary reports as well
            theirs = self._held(SUBSIDIARY, quarter)
            return (*own, *(_for_other(line, "1") for line in theirs[: len(theirs) // 2]))
        if manager == OPTIONS:
            return (*own, *(_option(line, kind) for line in own[:3] for kind in ("Put", "Call")))
        if manager == BONDS:
            bond = Line(None, BOND_CUSIP, "SIMULATED BOND CORP", "NOTE 4.000% 6/0", None, 5_000_000, 4_912_500)
            return (*own, bond)
        if manager % 5 == 0:
            fund = Line(None, FUND_CUSIP, "SIMULATED INDEX FUND TR", "SHS ETF", 1_000 + manager, None, 100_000)
            return (*own, fund)
        return own

    def _held(self, manager: int, quarter: date) -> tuple[Line, ...]:
        number = self.quarters.index(quarter)
        lines = []
        for listing, close in self._closes_at(quarter):
            likes, base, drift, absent = self._drawn(listing)
            if likes[manager] > 0.45 or absent[manager, number] < 0.08:
                continue
            company = self.registry[listing.company]
            shares = max(1, round(float(base[manager] * drift[manager, number]) * company.to_basis(quarter)))
            title = "COM" if listing.share_class is None else f"CL {listing.share_class}"
            dollars = round(shares * close)
            lines.append(
                Line(listing, self.cusip(listing, quarter), company.name.upper(), title, shares, None, dollars)
            )
        return tuple(lines)

    def _closes_at(self, quarter: date) -> list[tuple[Listing, float]]:
        if quarter not in self._closes:
            session = max(session for session in self.bars.sessions if session <= quarter)
            self._closes[quarter] = [(listing, bar.close) for listing, bar in self.bars.session_values(session)]
        return self._closes[quarter]

    def _drawn(self, listing: Listing) -> tuple[np.ndarray, ...]:
        if listing.figi not in self._draws:
            draw = stream(self.registry.seed, HOLDINGS_STREAM, listing.company * 8 + self._numbers[listing.figi])
            size = (MANAGERS, 24)
            self._draws[listing.figi] = (
                draw.random(MANAGERS),
                draw.lognormal(9, 1.1, MANAGERS),
                np.exp(np.cumsum(0.12 * draw.standard_normal(size), axis=1)),
                draw.random(size),
            )
        return self._draws[listing.figi]

    # -- the SEC's pages and files ----------------------------------------------------------------------------------

    def sets_page(self, now: datetime) -> str:
        """The page that links the data sets there are."""
        folder = "/files/structureddata/data/form-13f-data-sets"
        return _page("Form 13F Data Sets", [f"{folder}/{name}_form13f.zip" for name, _, _ in self._sets(now)])

    def data_set(self, name: str, now: datetime) -> bytes:
        """NAME_form13f.zip; NotServed where there is none yet."""
        days = next(((first, last) for known, first, last in self._sets(now) if known == name), None)
        if days is None:
            raise NotServed(f"no 13F data set {name} at {now}")
        return data_set(self.filed_between(*days))

    def fails_page(self, now: datetime) -> str:
        """The page that links the fails-to-deliver files there are."""
        folder = "/files/data/fails-deliver-data"
        return _page("Fails-to-Deliver Data", [f"{folder}/{name}.zip" for name, _, _ in self._halves(now)])

    def fails(self, name: str, now: datetime) -> bytes:
        """cnsfailsYYYYMMa.zip; NotServed where there is none yet."""
        days = next(((first, last) for known, first, last in self._halves(now) if known == name), None)
        if days is None:
            raise NotServed(f"no fails-to-deliver file {name} at {now}")
        return _zip({f"{name}.txt": self._fails_text(*days).encode("latin-1")})

    def submission(self, accession_no: str, now: datetime) -> str:
        """A filing's full submission text; NotServed before its acceptance."""
        for report in self.known(now):
            if report.accession_no == accession_no:
                return submission(report)
        raise NotServed(f"no 13F filing {accession_no} at {now}")

    def _sets(self, now: datetime) -> Iterator[tuple[str, date, date]]:
        first = date(2022, 4, 1)
        while True:
            if first.year < 2024:
                name, months = f"{first.year}q{(first.month + 2) // 3}", 3
            else:
                name, months = "", 2 if first == date(2024, 1, 1) else 3
            last = _plus_months(first, months) - timedelta(days=1)
            if new_york(last + timedelta(days=12), 12) > now:
                return
            yield name or f"{first:%d%b%Y}-{last:%d%b%Y}".lower(), first, last
            first = last + timedelta(days=1)

    def _halves(self, now: datetime) -> Iterator[tuple[str, date, date]]:
        month = date(2022, 1, 1)
        while True:
            end = month.replace(day=monthrange(month.year, month.month)[1])
            for half, first, last in (("a", month, month.replace(day=15)), ("b", month.replace(day=16), end)):
                if new_york(last + timedelta(days=16), 12) > now:
                    return
                yield f"cnsfails{month:%Y%m}{half}", first, last
            month = end + timedelta(days=1)

    def _fails_text(self, first: date, last: date) -> str:
        rows = ["SETTLEMENT DATE|CUSIP|SYMBOL|QUANTITY (FAILS)|DESCRIPTION|PRICE"]
        days = [session for session in self.bars.sessions if first <= session <= last]
        for number, session in enumerate(days):
            place = self.bars.position[session]
            closes = dict(_closes(self.bars, self.bars.sessions[place - 1])) if place else {}
            for listing, _ in self.bars.session_values(session):
                # every one at the first session, then now and then
                if number and (listing.company + number) % 5:
                    continue
                symbol = (listing.ticker_on(session) or "").replace(".", "")
                price = f"{closes[listing.figi]:.2f}" if listing.figi in closes else "."
                quantity = 100 + listing.company * 37 % 9000
                name = self.registry[listing.company].name.upper()
                rows.append(f"{session:%Y%m%d}|{self.cusip(listing, session)}|{symbol}|{quantity}|{name}|{price}")
            rows.append(f"{session:%Y%m%d}|{FUND_CUSIP}|{FUND_SYMBOL}|55|SIMULATED INDEX FUND TR|98.50")
        rows.append(f"Trailer record count {len(rows) - 1}")
        rows.append("Trailer total quantity of shares 123456")
        return "\r\n".join(rows) + "\r\n"


def _closes(bars: Bars, session: date) -> Iterator[tuple[str, float]]:
    for listing, bar in bars.session_values(session):
        yield listing.figi, bar.close


def _three_times_ten(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(
        replace(line, shares=(line.shares or 0) * 10, dollars=line.dollars * 10) if place < 3 else line
        for place, line in enumerate(lines)
    )


def _for_other(line: Line, others: str) -> Line:
    return replace(line, others=others)


def _option(line: Line, kind: str) -> Line:
    return replace(line, shares=(line.shares or 0) * 2, dollars=line.dollars * 2, put_call=kind)


def _plus_months(day: date, months: int) -> date:
    place = day.year * 12 + day.month - 1 + months
    return date(place // 12, place % 12 + 1, 1)


def _page(title: str, links: list[str]) -> str:
    items = "\n".join(f'<tr><td><a href="{link}">{link.rpartition("/")[2]}</a></td></tr>' for link in links[::-1])
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><title>SEC.gov | {title}</title></head><body><h1>{title}</h1>\n'
        f'<a href="/files/{title.lower().replace(" ", "_")}_readme.pdf">Readme</a>\n<table>\n{items}\n</table>\n'
        "</body></html>\n"
    )


# -- bodies of filings, from any Report ------------------------------------------------------------------------------


def data_set(reports: list[Report]) -> bytes:
    """The zip of a data set with these filings."""
    tables: dict[str, list[list[object]]] = {
        "SUBMISSION": [["ACCESSION_NUMBER", "FILING_DATE", "SUBMISSIONTYPE", "CIK", "PERIODOFREPORT"]],
        "COVERPAGE": [
            [
                "ACCESSION_NUMBER", "REPORTCALENDARORQUARTER", "ISAMENDMENT", "AMENDMENTNO", "AMENDMENTTYPE",
                "FILINGMANAGER_NAME", "REPORTTYPE", "FORM13FFILENUMBER", "PROVIDEINFOFORINSTRUCTION5",
                "ADDITIONALINFORMATION",
            ]
        ],
        "OTHERMANAGER": [["ACCESSION_NUMBER", "OTHERMANAGER_SK", "CIK", "FORM13FFILENUMBER", "NAME"]],
        "OTHERMANAGER2": [["ACCESSION_NUMBER", "SEQUENCENUMBER", "CIK", "FORM13FFILENUMBER", "NAME"]],
        "SUMMARYPAGE": [
            [
                "ACCESSION_NUMBER", "OTHERINCLUDEDMANAGERSCOUNT", "TABLEENTRYTOTAL", "TABLEVALUETOTAL",
                "ISCONFIDENTIALOMITTED",
            ]
        ],
        "INFOTABLE": [[*INFO_COLUMNS]],
    }  # fmt: skip
    for report in reports:
        key, quarter = report.accession_no, _spelled(report.quarter)
        tables["SUBMISSION"].append([key, _spelled(report.filed_on), report.form, f"{report.cik:010d}", quarter])
        tables["COVERPAGE"].append(
            [
                key, quarter, "Y" if report.amendment else "N", 1 if report.amendment else "", report.amendment or "",
                report.name, _report_type(report), _file_number(report.manager), "N", "",
            ]
        )  # fmt: skip
        for manager in _reporting_for(report):
            tables["OTHERMANAGER"].append(
                [key, manager + 1, f"{manager_cik(manager):010d}", _file_number(manager), manager_name(manager)]
            )
        for sequence, manager in _included(report):
            tables["OTHERMANAGER2"].append(
                [key, sequence, f"{manager_cik(manager):010d}", _file_number(manager), manager_name(manager)]
            )
        if not report.is_notice:
            tables["SUMMARYPAGE"].append([key, len(_included(report)), report.declared, _total(report), "N"])
        for number, line in enumerate(report.lines, 1):
            amount = line.shares if line.principal is None else line.principal
            kind = "SH" if line.principal is None else "PRN"
            tables["INFOTABLE"].append(
                [
                    key, 100_000 + number, line.issuer, line.title, _written_cusip(report, line), "",
                    report.value(line), amount, kind, line.put_call or "", "DFND" if line.others else "SOLE",
                    line.others or "", amount, 0, 0,
                ]
            )  # fmt: skip
    return _zip(
        {
            f"{name}.tsv": "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()
            for name, rows in tables.items()
        }
    )


def submission(report: Report) -> str:
    """The full submission text of a filing, as EDGAR has it."""
    at = report.accepted.astimezone(made.NEW_YORK)
    documents = [("primary_doc.xml", report.form, _cover(report))]
    if not report.is_notice:
        documents.append(("infotable.xml", "INFORMATION TABLE", _information_table(report)))
    parts = [
        f"<SEC-DOCUMENT>{report.accession_no}.txt : {at:%Y%m%d}\n"
        f"<SEC-HEADER>{report.accession_no}.hdr.sgml : {at:%Y%m%d}\n"
        f"<ACCEPTANCE-DATETIME>{at:%Y%m%d%H%M%S}\nACCESSION NUMBER:\t\t{report.accession_no}\n"
        f"CONFORMED SUBMISSION TYPE:\t{report.form}\nPUBLIC DOCUMENT COUNT:\t\t{len(documents)}\n"
        f"CONFORMED PERIOD OF REPORT:\t{report.quarter:%Y%m%d}\nFILED AS OF DATE:\t\t{at:%Y%m%d}\n\nFILER:\n\n"
        f"\tCOMPANY DATA:\t\n\t\tCOMPANY CONFORMED NAME:\t\t\t{report.name.upper()}\n"
        f"\t\tCENTRAL INDEX KEY:\t\t\t{report.cik:010d}\n</SEC-HEADER>\n"
    ]
    for number, (name, kind, xml) in enumerate(documents, 1):
        parts.append(
            f"<DOCUMENT>\n<TYPE>{kind}\n<SEQUENCE>{number}\n<FILENAME>{name}\n<TEXT>\n<XML>\n{xml}\n</XML>\n</TEXT>\n"
            "</DOCUMENT>\n"
        )
    return "".join(parts) + "</SEC-DOCUMENT>\n"


def _cover(report: Report) -> str:
    quarter = f"{report.quarter:%m-%d-%Y}"
    amended = (
        f"<isAmendment>true</isAmendment><amendmentNo>1</amendmentNo><amendmentInfo><amendmentType>{report.amendment}"
        "</amendmentType></amendmentInfo>"
        if report.amendment
        else "<isAmendment>false</isAmendment>"
    )
    others = "".join(f"<otherManager>{_manager_xml(manager)}</otherManager>" for manager in _reporting_for(report))
    cover = (
        f"<coverPage><reportCalendarOrQuarter>{quarter}</reportCalendarOrQuarter>{amended}<filingManager><name>"
        f"{escape(report.name)}</name></filingManager><reportType>{_report_type(report)}</reportType>"
        f"<form13FFileNumber>{_file_number(report.manager)}</form13FFileNumber>"
        + (f"<otherManagersInfo>{others}</otherManagersInfo>" if others else "")
        + "</coverPage>"
    )
    summary = ""
    if not report.is_notice:
        pairs = "".join(
            f"<otherManager2><sequenceNumber>{sequence}</sequenceNumber><otherManager>{_manager_xml(manager)}"
            "</otherManager></otherManager2>"
            for sequence, manager in _included(report)
        )
        summary = (
            f"<summaryPage><otherIncludedManagersCount>{len(_included(report))}</otherIncludedManagersCount>"
            f"<tableEntryTotal>{report.declared}</tableEntryTotal><tableValueTotal>{_total(report)}</tableValueTotal>"
            "<isConfidentialOmitted>false</isConfidentialOmitted>"
            + (f"<otherManagers2Info>{pairs}</otherManagers2Info>" if pairs else "")
            + "</summaryPage>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<edgarSubmission xmlns="http://www.sec.gov/edgar/thirteenffiler">'
        f"<headerData><submissionType>{report.form}</submissionType><filerInfo><filer><credentials><cik>{report.cik:010d}"
        f"</cik></credentials></filer><periodOfReport>{quarter}</periodOfReport></filerInfo></headerData><formData>{cover}"
        f"{summary}</formData></edgarSubmission>"
    )


def _information_table(report: Report) -> str:
    lines = []
    for line in report.lines:
        amount, kind = (line.shares, "SH") if line.principal is None else (line.principal, "PRN")
        lines.append(
            f"<ns1:infoTable><ns1:nameOfIssuer>{escape(line.issuer)}</ns1:nameOfIssuer><ns1:titleOfClass>"
            f"{escape(line.title)}</ns1:titleOfClass><ns1:cusip>{_written_cusip(report, line)}</ns1:cusip><ns1:value>"
            f"{report.value(line)}</ns1:value><ns1:shrsOrPrnAmt><ns1:sshPrnamt>{amount}</ns1:sshPrnamt><ns1:sshPrnamtType>"
            f"{kind}</ns1:sshPrnamtType></ns1:shrsOrPrnAmt>"
            + (f"<ns1:putCall>{line.put_call}</ns1:putCall>" if line.put_call else "")
            + f"<ns1:investmentDiscretion>{'DFND' if line.others else 'SOLE'}</ns1:investmentDiscretion>"
            + (f"<ns1:otherManager>{line.others}</ns1:otherManager>" if line.others else "")
            + f"<ns1:votingAuthority><ns1:Sole>{amount}</ns1:Sole><ns1:Shared>0</ns1:Shared><ns1:None>0</ns1:None>"
            "</ns1:votingAuthority></ns1:infoTable>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ns1:informationTable '
        f'xmlns:ns1="http://www.sec.gov/edgar/document/thirteenf/informationtable">{"".join(lines)}</ns1:informationTable>'
    )


def _manager_xml(manager: int) -> str:
    return (
        f"<cik>{manager_cik(manager):010d}</cik><form13FFileNumber>{_file_number(manager)}</form13FFileNumber><name>"
        f"{escape(manager_name(manager))}</name>"
    )


def _reporting_for(report: Report) -> list[int]:
    return [PARENT] if report.manager == NOTICE else []


def _included(report: Report) -> list[tuple[int, int]]:
    return [(1, SUBSIDIARY)] if report.manager == PARENT else []


def _report_type(report: Report) -> str:
    return "13F NOTICE" if report.is_notice else "13F HOLDINGS REPORT"


def _file_number(manager: int) -> str:
    return f"028-{20_000 + manager:05d}"


def _written_cusip(report: Report, line: Line) -> str:
    return line.cusip.lstrip("0") if report.manager == EATS_ZEROS else line.cusip


def _total(report: Report) -> int:
    return sum(report.value(line) for line in report.lines)


def _spelled(day: date) -> str:
    return f"{day:%d-%b-%Y}".upper()


def _zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            info = zipfile.ZipInfo(name, date_time=(2025, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, body, compresslevel=6)
    return file.getvalue()
