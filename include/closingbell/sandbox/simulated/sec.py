"""SEC EDGAR's answers about the simulated companies, in the shapes of data.sec.gov and www.sec.gov.

Sources: https://www.sec.gov/search-filings/edgar-application-programming-interfaces (submissions, companyfacts) and the
daily index of https://www.sec.gov/Archives/edgar/daily-index/. `now` is aware; nothing accepted later is shown.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from closingbell.sandbox.simulated import companies as made
from closingbell.sandbox.simulated.companies import Company, new_york
from closingbell.sandbox.simulated.statements import Books, Filing, shown_periods

RECENT = 40  # filings in a submissions answer's own list; older ones are in a page
NEW_REVENUE_TAG = date(2018, 8, 1)  # ASC 606's first filings with the new tag

Tag = tuple[str, str, str]  # concept, metric, periods it is shown for (income, cash, balance)

_COMMON: tuple[Tag, ...] = (
    (
        "IncomeLossFromContinuingOperationsBeforeIncomeTaxesExtraordinaryItemsNoncontrollingInterest",
        "pretax_income",
        "income",
    ),
    ("IncomeTaxExpenseBenefit", "income_tax", "income"),
    ("NetIncomeLoss", "net_income", "income"),
    ("NetCashProvidedByUsedInOperatingActivities", "operating_cash_flow", "cash"),
    ("NetCashProvidedByUsedInInvestingActivities", "investing_cash_flow", "cash"),
    ("NetCashProvidedByUsedInFinancingActivities", "financing_cash_flow", "cash"),
    ("Assets", "total_assets", "balance"),
    ("StockholdersEquity", "equity", "balance"),
    ("LiabilitiesAndStockholdersEquity", "total_assets", "balance"),
    ("RetainedEarningsAccumulatedDeficit", "retained_earnings", "balance"),
)
_IFRS: tuple[Tag, ...] = (
    ("Revenue", "revenue", "income"),
    ("CostOfSales", "cost_of_revenue", "income"),
    ("GrossProfit", "gross_profit", "income"),
    ("ProfitLossFromOperatingActivities", "operating_income", "income"),
    ("FinanceCosts", "interest_expense", "income"),
    ("ProfitLossBeforeTax", "pretax_income", "income"),
    ("IncomeTaxExpenseContinuingOperations", "income_tax", "income"),
    ("ProfitLoss", "net_income", "income"),
    ("ProfitLossAttributableToOwnersOfParent", "net_income", "income"),
    ("CashFlowsFromUsedInOperatingActivities", "operating_cash_flow", "cash"),
    ("CashFlowsFromUsedInInvestingActivities", "investing_cash_flow", "cash"),
    ("CashFlowsFromUsedInFinancingActivities", "financing_cash_flow", "cash"),
    ("PurchaseOfPropertyPlantAndEquipmentClassifiedAsInvestingActivities", "capex", "cash"),
    ("IncreaseDecreaseInCashAndCashEquivalents", "cash_change", "cash"),
    ("CashAndCashEquivalents", "cash", "balance"),
    ("Inventories", "inventory", "balance"),
    ("CurrentAssets", "current_assets", "balance"),
    ("PropertyPlantAndEquipment", "property", "balance"),
    ("Assets", "total_assets", "balance"),
    ("CurrentLiabilities", "current_liabilities", "balance"),
    ("ShorttermBorrowings", "short_term_debt", "balance"),
    ("LongtermBorrowings", "long_term_debt", "balance"),
    ("Liabilities", "total_liabilities", "balance"),
    ("Equity", "equity", "balance"),
    ("EquityAttributableToOwnersOfParent", "equity", "balance"),
)


def tags_liabilities(company: Company) -> bool:
    """Whether it tags total liabilities; many real filers do not."""
    return company.index != made.TWO_CLASSES and (company.index < 20 or company.styles[4] >= 0.25)


def tags_gross_profit(company: Company) -> bool:
    """Whether it tags gross profit besides revenue and cost."""
    return company.index == made.PLAIN or company.styles[3] < 0.7


def _revenue_tags(company: Company, filed_on: date, annual: bool) -> list[Tag]:
    old, new = "Revenues", "RevenueFromContractWithCustomerExcludingAssessedTax"
    if company.index not in (made.TAG_CHANGE, made.PLAIN) and company.styles[1] >= 0.5:
        old = "SalesRevenueNet"
    if (
        company.sector.name == "Utilities" or company.index == made.COMPONENT_REVENUE
    ):  # a total and the part that comes from contracts
        return [("Revenues", "revenue", "income")] + (
            [(new, "contract_revenue", "income")] if filed_on >= NEW_REVENUE_TAG else []
        )
    if filed_on < NEW_REVENUE_TAG:
        return [(old, "revenue", "income")]
    if company.index == made.TAG_CHANGE:
        both = annual and filed_on < date(2020, 7, 1)
        return [(new, "revenue", "income")] + ([("Revenues", "revenue", "income")] if both else [])
    return [("Revenues" if company.styles[1] >= 0.8 else new, "revenue", "income")]


def tags(company: Company, filing: Filing) -> list[Tag]:
    """The concepts that a filing tags, with the metric each holds and the periods it is shown for."""
    if company.index == made.IFRS:
        return list(_IFRS)
    pays = (
        "PaymentsOfDividends" if company.styles[6] < 0.6 else "PaymentsOfDividendsCommonStock",
        "dividends_paid",
        "cash",
    )
    found = list(_COMMON)
    if company.dividend_yield:
        found.append(pays)
    if company.is_bank:
        return [
            *found,
            ("Revenues", "revenue", "income"),
            ("InterestExpense", "interest_expense", "income"),
            ("ProvisionForLoanLossesExpensed", "provision", "income"),
            ("NoninterestExpense", "operating_expenses", "income"),
            ("CashAndDueFromBanks", "cash", "balance"),
            ("LoansAndLeasesReceivableNetReportedAmount", "loans", "balance"),
            ("Deposits", "deposits", "balance"),
            ("ShortTermBorrowings", "short_term_debt", "balance"),
            ("LongTermDebt", "long_term_debt", "balance"),
            ("PaymentsForRepurchaseOfCommonStock", "buybacks", "cash"),
            ("Liabilities", "total_liabilities", "balance"),
        ]
    found += _revenue_tags(company, filing.filed_on, filing.annual)
    costs = ("CostOfRevenue", "CostOfGoodsAndServicesSold", "CostOfGoodsSold")
    cost = costs[0 if company.index == made.PLAIN else int(company.styles[2] * 3)]
    if cost == "CostOfGoodsSold" and filing.filed_on >= NEW_REVENUE_TAG:
        cost = "CostOfGoodsAndServicesSold"
    interest = "InterestExpense"
    if company.styles[6] >= 0.7 and filing.filed_on >= date(2024, 7, 1):
        interest = "InterestExpenseNonoperating"
    change = "CashAndCashEquivalentsPeriodIncreaseDecrease"
    if filing.filed_on >= NEW_REVENUE_TAG:
        change = (
            "CashCashEquivalentsRestrictedCashAndRestrictedCashEquivalents"
            "PeriodIncreaseDecreaseIncludingExchangeRateEffect"
        )
    capex = (
        "PaymentsToAcquirePropertyPlantAndEquipment"
        if company.styles[5] < 0.85
        else "PaymentsToAcquireProductiveAssets"
    )
    found += [
        (cost, "cost_of_revenue", "income"),
        ("OperatingExpenses", "operating_expenses", "income"),
        ("OperatingIncomeLoss", "operating_income", "income"),
        (interest, "interest_expense", "income"),
        ("DepreciationDepletionAndAmortization", "depreciation", "cash"),
        (change, "cash_change", "cash"),
        (capex, "capex", "cash"),
        ("PaymentsForRepurchaseOfCommonStock", "buybacks", "cash"),
        ("CashAndCashEquivalentsAtCarryingValue", "cash", "balance"),
        ("AccountsReceivableNetCurrent", "receivables", "balance"),
        ("AssetsCurrent", "current_assets", "balance"),
        ("PropertyPlantAndEquipmentNet", "property", "balance"),
        ("Goodwill", "goodwill", "balance"),
        ("AccountsPayableCurrent", "payables", "balance"),
        ("LiabilitiesCurrent", "current_liabilities", "balance"),
        ("LongTermDebtCurrent" if company.styles[5] < 0.6 else "DebtCurrent", "short_term_debt", "balance"),
        ("LongTermDebtNoncurrent", "long_term_debt", "balance"),
    ]
    if company.sector.inventory:
        found.append(("InventoryNet", "inventory", "balance"))
    if company.sector.name in ("Information Technology", "Health Care"):
        found.append(("ResearchAndDevelopmentExpense", "research", "income"))
    if tags_gross_profit(company):
        found.append(("GrossProfit", "gross_profit", "income"))
    if tags_liabilities(company):
        found.append(("Liabilities", "total_liabilities", "balance"))
    return found


def tags_shares(company: Company) -> tuple[bool, bool]:
    """Whether it tags shares on the balance sheet and on the cover.

    Facts with a class dimension are not in company facts, so a company of several classes has no cover count (GOOGL),
    and one with a ratio between them none at all (BRK).
    """
    if company.index == made.CLASS_RATIO:
        return False, False
    return True, len(company.listings) == 1


def fiscal_year(company: Company, quarter: int) -> int:
    """The year a filer calls its fiscal year: that of its end, or for some that end in January the one before."""
    year = made.FIRST_FISCAL_YEAR + quarter // 4
    return year - 1 if company.fiscal_month <= 2 and company.styles[0] < 0.5 else year


def contract_revenue(value: int) -> int:
    """The part of a utility's revenue that comes from contracts with customers."""
    return round(value * 0.93 / 1000) * 1000


def company_facts(books: Books, now: datetime) -> dict[str, Any]:
    """The companyfacts answer of one company."""
    company = books.company
    ends = company.quarter_ends
    end_text = [end.isoformat() for end in ends]
    start_text = [company.quarter_start(quarter).isoformat() for quarter in range(len(ends))]
    ifrs = company.index == made.IFRS
    taxonomy, money = ("ifrs-full", company.currency) if ifrs else ("us-gaap", "USD")
    facts: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    on_balance, on_cover = tags_shares(company)
    for filing in books.filings:
        if filing.quarter is None or filing.accepted > now:
            continue
        at = filing.accepted
        source = {
            "accn": filing.accession_no,
            "fy": fiscal_year(company, filing.quarter),
            "fp": "FY" if filing.annual else f"Q{filing.quarter % 4 + 1}",
            "form": filing.form,
            "filed": filing.filed_on.isoformat(),
        }
        periods = shown_periods(filing)
        for concept, metric, kind in tags(company, filing):
            rows = facts[taxonomy, concept, money]
            for first, last in periods[kind]:
                end = end_text[last]
                if kind == "balance":
                    rows.append({"end": end, "val": books.balance(metric, last, at), **source})
                    continue
                if metric == "contract_revenue":
                    value = contract_revenue(books.flow("revenue", first, last, at))
                else:
                    value = books.flow(metric, first, last, at)
                rows.append({"start": start_text[first], "end": end, "val": value, **source})
        names = (
            (
                "BasicEarningsLossPerShare",
                "DilutedEarningsLossPerShare",
                "WeightedAverageShares",
                "AdjustedWeightedAverageShares",
                "NumberOfSharesOutstanding",
            )
            if ifrs
            else (
                "EarningsPerShareBasic",
                "EarningsPerShareDiluted",
                "WeightedAverageNumberOfSharesOutstandingBasic",
                "WeightedAverageNumberOfDilutedSharesOutstanding",
                "CommonStockSharesOutstanding",
            )
        )
        for first, last in periods["income"]:
            period = {"start": start_text[first], "end": end_text[last]}
            for name, diluted in ((names[0], False), (names[1], True)):
                facts[taxonomy, name, f"{money}/shares"].append(
                    {**period, "val": books.eps(first, last, filing, diluted), **source}
                )
            for name, shares in (
                (names[2], books.weighted_shares(first, last, filing.filed_on)),
                (names[3], books.diluted_shares(first, last, filing.filed_on, at)),
            ):
                if on_balance:
                    facts[taxonomy, name, "shares"].append({**period, "val": int(shares), **source})
        for _, last in periods["balance"] if on_balance else ():
            facts[taxonomy, names[4], "shares"].append(
                {"end": end_text[last], "val": int(company.shares_at(ends[last], filing.filed_on)), **source}
            )
        cover = filing.filed_on - timedelta(days=7)
        if on_cover:
            facts["dei", "EntityCommonStockSharesOutstanding", "shares"].append(
                {"end": cover.isoformat(), "val": int(company.shares_at(cover, filing.filed_on)), **source}
            )
        if filing.form.startswith("10-K") and filing.quarter >= 2:
            half = ends[filing.quarter - 2]
            worth = int(company.shares_at(half) * company.price_2022 / company.to_basis(half) / 1e6) * 1_000_000
            facts["dei", "EntityPublicFloat", "USD"].append({"end": half.isoformat(), "val": worth, **source})
    answer: dict[str, Any] = {}
    for (kind, concept, unit), rows in sorted(facts.items()):
        rows.sort(key=lambda row: (row["end"], row.get("start", ""), row["filed"], row["accn"]))
        _frames(rows)
        label = None if ifrs and kind != "dei" else _label(concept)
        entry = answer.setdefault(kind, {}).setdefault(
            concept, {"label": label, "description": label and f"{label} of the simulated company.", "units": {}}
        )
        entry["units"][unit] = rows
    # SEC gives the CIK as a number for most companies and as a padded string for some (LPA); both must be read.
    return {"cik": f"{company.cik:010d}" if ifrs else company.cik, "entityName": company.name.upper(), "facts": answer}


def _frames(rows: list[dict[str, Any]]) -> None:
    """Mark the last fact of each calendar frame, as SEC does; rows come sorted."""
    newest: dict[str, dict[str, Any]] = {}
    for row in rows:
        if frame := _frame(row.get("start"), row["end"]):
            newest[frame] = row
    for frame, row in newest.items():
        row["frame"] = frame


@lru_cache(maxsize=20_000)
def _frame(start: str | None, end: str) -> str | None:
    """The calendar frame a period falls in: CY2021, CY2021Q1, CY2021Q1I; None for other lengths."""
    last = date.fromisoformat(end)
    if start is None:
        middle = last - timedelta(days=20)
        return f"CY{middle.year}Q{(middle.month - 1) // 3 + 1}I"
    days = (last - date.fromisoformat(start)).days + 1
    middle = last - timedelta(days=days // 2)
    if 80 <= days <= 100:
        return f"CY{middle.year}Q{(middle.month - 1) // 3 + 1}"
    return f"CY{middle.year}" if 350 <= days <= 380 else None


def _label(concept: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", concept)


def submissions(company: Company, filings: tuple[Filing, ...], now: datetime) -> dict[str, Any]:
    """The submissions answer of one company, newest filing first; filings beyond the newest forty are in one page."""
    today = now.astimezone(made.NEW_YORK).date()
    known = [filing for filing in filings if filing.accepted <= now][::-1]
    older = known[RECENT:]
    address = {
        "street1": "100 MARKET STREET",
        "street2": None,
        "city": company.city.upper(),
        "stateOrCountry": company.state,
        "zipCode": "00000",
        "stateOrCountryDescription": company.state,
        "isForeignLocation": 0,
        "foreignStateTerritory": None,
        "country": None,
        "countryCode": None,
    }
    listed = [listing.ticker_on(today) for listing in company.listings]
    names = [ticker.replace(".", "-") for ticker in listed if ticker]
    exchange = "Nasdaq" if company.exchange == "XNAS" else "NYSE"
    end = company.quarter_ends[3 + 4 * ((len(company.quarter_ends) - 4) // 4)]
    files = (
        [
            {
                "name": f"CIK{company.cik:010d}-submissions-001.json",
                "filingCount": len(older),
                "filingFrom": older[-1].filed_on.isoformat(),
                "filingTo": older[0].filed_on.isoformat(),
            }
        ]
        if older
        else []
    )
    return {
        "cik": f"{company.cik:010d}",
        "entityType": "operating",
        "sic": f"{company.sector.sic:04d}",
        "sicDescription": company.sector.sic_description,
        "ownerOrg": "",
        "insiderTransactionForOwnerExists": 0,
        "insiderTransactionForIssuerExists": 1,
        "name": company.name,
        "tickers": names,
        "exchanges": [exchange] * len(names),
        "ein": f"{company.cik % 10**9:09d}",
        "lei": None,
        "description": "",
        "website": "",
        "investorWebsite": "",
        "category": "Large accelerated filer",
        "fiscalYearEnd": f"{company.fiscal_month:02d}{end.day:02d}",
        "stateOfIncorporation": company.state,
        "stateOfIncorporationDescription": company.state,
        "addresses": {"mailing": address, "business": address},
        "phone": "",
        "flags": "",
        "formerNames": [],
        "filings": {"recent": _columns(company, known[:RECENT]), "files": files},
    }


def submissions_page(company: Company, filings: tuple[Filing, ...], now: datetime) -> dict[str, Any]:
    """The page of older filings."""
    return _columns(company, [filing for filing in filings if filing.accepted <= now][::-1][RECENT:])


def _columns(company: Company, filings: list[Filing]) -> dict[str, Any]:
    statements = [filing.quarter is not None for filing in filings]
    report = [company.quarter_ends[f.quarter] if f.quarter is not None else f.filed_on for f in filings]
    documents = [f"{company.name.split()[0].lower()}-{day:%Y%m%d}.htm" for day in report]
    core = ["20-F" if f.form == "20-F" else f.form for f in filings]
    return {
        "accessionNumber": [f.accession_no for f in filings],
        "filingDate": [f.filed_on.isoformat() for f in filings],
        "reportDate": [day.isoformat() for day in report],
        "acceptanceDateTime": [f"{f.accepted:%Y-%m-%dT%H:%M:%S}.000Z" for f in filings],
        "act": ["34"] * len(filings),
        "form": [f.form for f in filings],
        "fileNumber": [f"001-{company.index + 30000}"] * len(filings),
        "filmNumber": [f.accession_no.replace("-", "")[-8:] for f in filings],
        "items": [f.items for f in filings],
        "core_type": core,
        "size": [4_000_000 + 1000 * (f.quarter or 0) for f in filings],
        "isXBRL": [int(s) for s in statements],
        "isInlineXBRL": [int(s and f.filed_on >= date(2019, 7, 1)) for s, f in zip(statements, filings, strict=True)],
        "primaryDocument": documents,
        "primaryDocDescription": core,
    }


def daily_index(day: date, filings: list[tuple[Company, Filing]]) -> str:
    """EDGAR's form.YYYYMMDD.idx of the filings dated `day`."""
    head = [
        "Description:           Daily Index of EDGAR Dissemination Feed by Form Type",
        f"Last Data Received:    {day:%b} {day.day}, {day.year}",
        "Comments:              webmaster@sec.gov",
        "Anonymous FTP:         ftp://ftp.sec.gov/edgar/",
        " ",
        " ",
        " ",
        " ",
        f"{'Form Type':<12}{'Company Name':<62}{'CIK':<12}{'Date Filed':<12}File Name",
        "-" * 141,
    ]
    rows = [
        f"{filing.form:<12}{company.name[:60]:<62}{company.cik:<12}{day:%Y%m%d}    "
        f"{f'edgar/data/{company.cik}/{filing.accession_no}.txt':<52}"
        for company, filing in sorted(filings, key=lambda row: (row[1].form, row[0].name, row[1].accession_no))
    ]
    return "\n".join(head + rows) + "\n"


def index_ready(day: date) -> datetime:
    """When EDGAR publishes the index of `day`: 22:00 New York."""
    return new_york(day, 22)
