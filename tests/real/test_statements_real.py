"""Statement rows of recorded companies against figures read by hand in their company facts.

Each expected number stands next to the accession number and concept it was read from; derived ones show the sum.
"""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from closingbell.fundamentals import compute, filings, parse
from closingbell.fundamentals.concepts import concept_map
from closingbell.fundamentals.versions import FIGURES

pytestmark = pytest.mark.real

NVDA, AAPL, COST, WMT, HD, MCD, DIS = 1045810, 320193, 909832, 104169, 354950, 63908, 1744489
NKE, UAA, GOOGL, TXN, TSLA, SUNE, LPA = 320187, 1336917, 1652044, 97476, 1318605, 945436, 1997711
M = 1e6


@pytest.fixture(scope="module")
def facts(recordings: Path) -> pl.DataFrame:
    paths = sorted((recordings / "data.sec.gov").glob("api/xbrl/companyfacts/CIK*.json.gz"))
    return pl.concat([parse.companyfacts(gzip.decompress(path.read_bytes())) for path in paths])


@pytest.fixture(scope="module")
def rows(recordings: Path, facts: pl.DataFrame) -> pl.DataFrame:
    sec = recordings / "data.sec.gov"
    histories = {}
    for folder in ("submissions", "submissions_merged"):  # the merged ones go further back
        for path in sorted((sec / folder).glob("CIK??????????.json.gz")):
            history = filings.parse_submissions(gzip.decompress(path.read_bytes()))
            histories[history.cik] = history
    known = pl.concat([history.filings for history in histories.values()])
    year_ends = {cik: history.fiscal_year_end for cik, history in histories.items()}
    return compute.statements(parse.with_known_at(facts, known), year_ends)


def value(rows: pl.DataFrame, cik: int, period_type: str, end: str, figure: str, on: str = "2030-01-01"):
    """A figure as known at the end of the day `on`."""
    moment = datetime.combine(date.fromisoformat(on), datetime.max.time(), UTC)
    view = compute.as_of(rows.filter(cik=cik, period_type=period_type, period_end=date.fromisoformat(end)), moment)
    assert view.height <= 1
    return view[figure].item() if view.height else None


@pytest.mark.parametrize(
    ("cik", "period_type", "end", "figure", "on", "expected"),
    [
        # NVIDIA: 0001045810-25-000230 Revenues 2025-07-28..2025-10-26
        (NVDA, "Q", "2025-10-26", "revenue", "2025-11-20", 57_006 * M),
        # 0001045810-26-000021 Revenues of the year 215,938 less nine months 147,811 of 0001045810-25-000230
        (NVDA, "Q", "2026-01-25", "revenue", "2026-02-26", (215_938 - 147_811) * M),
        (NVDA, "TTM", "2026-01-25", "revenue", "2026-02-26", 215_938 * M),
        # six months 42,779 (0001045810-25-000209) less three 27,414 (0001045810-25-000116), NetCashProvidedBy...
        (NVDA, "Q", "2025-07-27", "operating_cash_flow", "2025-08-28", (42_779 - 27_414) * M),
        # EarningsPerShareDiluted: 1.74 in 0001045810-23-000017, after the 10:1 split 0.17 in 0001045810-25-000023
        (NVDA, "FY", "2023-01-29", "eps_diluted", "2023-02-25", 1.74),
        (NVDA, "FY", "2023-01-29", "eps_diluted", "2025-02-27", 0.17),
        # Apple: SalesRevenueNet 36,537 in 0001193125-09-214859, restated to 42,905 by the 10-K/A 0001193125-10-012091
        (AAPL, "FY", "2009-09-26", "revenue", "2010-01-24", 36_537 * M),
        (AAPL, "FY", "2009-09-26", "revenue", "2010-01-26", 42_905 * M),
        (AAPL, "FY", "2009-09-26", "net_income", "2010-01-26", 8_235 * M),
        # NetCashProvidedBy...: year 63,598 (0000320193-17-000070) less nine months 47,942 (0000320193-17-000009)
        (AAPL, "Q", "2017-09-30", "operating_cash_flow", "2018-07-31", (63_598 - 47_942) * M),
        # nine months restated to 48,476 (0000320193-18-000100), the year not yet: the last consistent pair
        (AAPL, "Q", "2017-09-30", "operating_cash_flow", "2018-08-02", (63_598 - 47_942) * M),
        # both restated: 64,225 (0000320193-18-000145)
        (AAPL, "Q", "2017-09-30", "operating_cash_flow", "2018-11-06", (64_225 - 48_476) * M),
        # Costco, quarters of 12 and 16 weeks: Revenues 63,205 and 189,079 in 0000909832-25-000033, year 275,235
        # in 0000909832-25-000101
        (COST, "Q", "2025-05-11", "revenue", "2025-06-06", 63_205 * M),
        (COST, "Q", "2025-08-31", "revenue", "2025-10-09", (275_235 - 189_079) * M),
        (COST, "TTM", "2025-08-31", "net_income", "2025-10-09", 8_099 * M),  # NetIncomeLoss
        # Walmart: Revenues (with membership), not its part SalesRevenueNet: 0000104169-25-000191, -26-000055
        (WMT, "Q", "2025-10-31", "revenue", "2025-12-04", 179_496 * M),
        (WMT, "Q", "2026-01-31", "revenue", "2026-03-14", (713_163 - 522_507) * M),
        (WMT, "FY", "2023-01-31", "operating_income", "2023-03-18", 20_428 * M),
        (WMT, "FY", "2023-01-31", "eps_diluted", "2023-03-18", 4.27),  # 0000104169-23-000020
        (WMT, "FY", "2023-01-31", "eps_diluted", "2024-03-16", 1.42),  # 3:1 split, 0000104169-24-000056
        (WMT, "Q", "2026-01-31", "total_assets", "2026-03-14", 284_668 * M),
        # Home Depot: six months 8,968 (0000354950-25-000217) less three 4,325 (0000354950-25-000165)
        (HD, "Q", "2025-08-03", "operating_cash_flow", "2025-08-27", (8_968 - 4_325) * M),
        # year 13,723 (0000354950-20-000015), restated to 13,687 (0000354950-21-000089)
        (HD, "FY", "2020-02-02", "operating_cash_flow", "2020-03-26", 13_723 * M),
        (HD, "FY", "2020-02-02", "operating_cash_flow", "2021-03-25", 13_687 * M),
        # negative equity: -3,116 (StockholdersEquity, 0000354950-20-000015); a return on it means nothing
        (HD, "FY", "2020-02-02", "shareholders_equity", "2020-03-26", -3_116 * M),
        (HD, "FY", "2020-02-02", "roe", "2020-03-26", None),
        # its merchandise is InventoryFinishedGoods in 2009 to 2012; AssetsCurrent 13,900, LiabilitiesCurrent 10,363
        # (0001193125-10-067178)
        (HD, "FY", "2010-01-31", "inventory", "2010-03-26", 10_188 * M),
        (HD, "FY", "2010-01-31", "quick_ratio", "2010-03-26", (13_900 - 10_188) / 10_363),
        # finished goods of 706 are a part of InventoryNet (0000097476-13-000009)
        (TXN, "FY", "2012-12-31", "inventory", "2013-02-23", 1_757 * M),
        # 8-K 0000354950-15-000035: SalesRevenueNet 19,124, GrossProfit 6,567 and the net income of then; costs 12,445,
        # OperatingExpenses 4,585 and OperatingIncomeLoss 2,094 are those of 0000354950-13-000015
        (HD, "Q", "2013-05-05", "cost_of_revenue", "2015-08-24", 12_445 * M),
        (HD, "Q", "2013-05-05", "cost_of_revenue", "2015-08-26", (19_124 - 6_567) * M),
        (HD, "Q", "2013-05-05", "operating_expenses", "2015-08-26", (6_567 - 2_094) * M),
        # said by 0000354950-15-000049
        (HD, "Q", "2014-11-02", "operating_expenses", "2015-08-26", 4_490 * M),
        (HD, "TTM", "2014-11-02", "operating_expenses", "2015-11-25", (4_490 + 4_559 + 4_480 + 6_072 - 1_761) * M),
        # McDonald's: Revenues 21,025.2 (0000063908-19-000010), restated to 21,257.9 (0000063908-21-000013)
        (MCD, "FY", "2018-12-31", "revenue", "2019-03-01", 21_025.2 * M),
        (MCD, "FY", "2018-12-31", "revenue", "2021-03-01", 21_257.9 * M),
        # restaurants bought (PaymentsToAcquireProductiveAssets 140.6) are not capital expenditure 1,813.9
        (MCD, "FY", "2015-12-31", "capex", "2016-02-26", 1_813.9 * M),
        (MCD, "FY", "2023-12-31", "gross_profit", "2024-02-23", None),  # no such line
        # Disney signs the year's InterestExpense -1,812 (0001744489-25-000155), nine months 1,396 (-25-000136)
        (DIS, "Q", "2025-09-27", "interest_expense", "2025-11-14", (1_812 - 1_396) * M),
        (DIS, "Q", "2025-09-27", "net_income", "2025-11-14", (12_404 - 11_091) * M),  # NetIncomeLoss
        # nine months 12,533 (...FinancingActivitiesContinuingOperations) stand beside a total of 20 in
        # 0001744489-19-000167; the half 12,696 (0001744489-19-000100) is under the total's tag in 0001744489-20-000102
        (DIS, "Q", "2019-06-29", "financing_cash_flow", "2019-08-07", (12_533 - 12_696) * M),
        (DIS, "Q", "2019-06-29", "financing_cash_flow", "2020-05-06", (12_533 - 12_696) * M),
        # the year -464 (0001744489-19-000225) and first quarters of 1,117 and -411 (0001744489-20-000046)
        (DIS, "TTM", "2019-12-28", "financing_cash_flow", "2020-05-06", (1_117 - 464 + 411) * M),
        # the half 6,616 (0001744489-20-000102)
        (DIS, "TTM", "2020-03-28", "financing_cash_flow", "2020-05-06", (6_616 - 464 - 12_696) * M),
        # Alphabet: RevenueFromContract... 350,018 (0001652044-25-000014) less 253,549 (0001652044-24-000118)
        (GOOGL, "Q", "2024-12-31", "revenue", "2025-02-06", (350_018 - 253_549) * M),
        # and Revenues of the year 182,527 (0001652044-21-000010) less RevenueFromContract... of nine months 125,629
        # (0001652044-20-000050): known with the annual report, not a year later when both stand under one tag
        (GOOGL, "Q", "2020-12-31", "revenue", "2021-02-04", (182_527 - 125_629) * M),
        # Nike shows no operating income: GrossProfit 19,790 less SellingGeneral... 16,088 (0000320187-25-000047)
        (NKE, "FY", "2025-05-31", "operating_income", "2025-07-18", (19_790 - 16_088) * M),
        # NetIncomeLoss of the year 3,219 (0000320187-25-000047) less nine months 3,008 (0000320187-25-000016)
        (NKE, "Q", "2025-05-31", "net_income", "2025-07-18", (3_219 - 3_008) * M),
        # Texas Instruments: OperatingIncomeLoss 5,465 (0000097476-25-000007) less 4,088 (0000097476-24-000042)
        (TXN, "Q", "2024-12-31", "operating_income", "2025-02-15", (5_465 - 4_088) * M),
        # NetCashProvidedBy... 6,318 less PaymentsToAcquirePropertyPlantAndEquipment 4,820 (0000097476-25-000007)
        (TXN, "FY", "2024-12-31", "free_cash_flow", "2025-02-15", (6_318 - 4_820) * M),
        # Tesla: EarningsPerShareDiluted 4.90 (0000950170-22-000796), before the 3:1 split of 2022
        (TSLA, "FY", "2021-12-31", "eps_diluted", "2022-02-08", 4.90),
        # Revenues of the year 53,823 (0000950170-22-000796) less nine months 36,104 (0000950170-21-002253)
        (TSLA, "Q", "2021-12-31", "revenue", "2022-02-08", (53_823 - 36_104) * M),
        # NetCashProvidedBy...: six months -528.040 (0001564590-18-019254) less three -398.376, then tagged
        # ...ContinuingOperations (0001564590-18-011086)
        (TSLA, "Q", "2018-06-30", "operating_cash_flow", "2018-08-07", (-528.040 + 398.376) * M),
        # Under Armour changed its year: 2022-01-01..03-31 is a transition quarter (10-QT 0001336917-22-000017)
        (UAA, "Q", "2022-03-31", "net_income", "2022-05-10", -59.610 * M),
        (UAA, "Q", "2022-03-31", "net_income", "2024-05-30", -63.146 * M),  # restated, 0001336917-24-000073
        # its SalesRevenueGoodsNet 1,063.927 is the total, SalesRevenueNet 1,024.55 a part (0001193125-12-078826)
        (UAA, "FY", "2010-12-31", "revenue", "2012-02-28", 1_063.927 * M),
        # SunEdison: SalesRevenueNet 2,484.4 (0000945436-15-000049), recast by 8-K 0000945436-15-000164
        (SUNE, "FY", "2014-12-31", "revenue", "2015-06-01", 2_484.4 * M),
        (SUNE, "FY", "2014-12-31", "revenue", "2015-06-30", 1_646.7 * M),
        (SUNE, "Q", "2015-09-30", "revenue", "2015-11-10", 476.0 * M),  # 0000945436-15-000274
        # shares: the balance sheet's count is 861,745, the cover's 861,381,000 (0001193125-14-157311)
        (AAPL, "Q", "2014-03-29", "shares_outstanding", "2014-05-15", 861_381_000),
        # 899,213,000 (0001193125-13-416534), 899,213 in 0001193125-14-157311
        (AAPL, "FY", "2013-09-28", "shares_outstanding", "2014-05-15", 899_213_000),
        # 1,222 million on the sheet (2,222 issued less 1,000), 1,541,568,417 on the cover (0000354950-11-000005)
        (HD, "Q", "2011-10-30", "shares_outstanding", "2011-11-30", 1_541_568_417),
        # still, when 0000354950-12-000035 tells income and earnings of that quarter again
        (HD, "Q", "2011-10-30", "shares_outstanding", "2012-11-22", 1_541_568_417),
        # the sheet's "1.8 billion" and "1.9 billion", the cover's 1,830,315,921 (0001744489-23-000216), 1,834,302,235
        # (-24-000081), 1,807,788,865 (-25-000067) and 1,785,288,846 (-25-000155)
        (DIS, "FY", "2023-09-30", "shares_outstanding", "2023-11-22", 1_830_315_921),
        # 1,834,285,760 on the cover of the 10-K/A 0001744489-24-000064; 1.8 billion again in 0001744489-24-000276
        (DIS, "FY", "2023-09-30", "shares_outstanding", "2024-11-15", 1_834_285_760),
        (DIS, "Q", "2023-12-30", "shares_outstanding", "2024-02-08", 1_834_302_235),
        (DIS, "Q", "2024-12-28", "shares_outstanding", "2025-02-06", 1_807_788_865),
        (DIS, "TTM", "2025-09-27", "shares_outstanding", "2025-11-14", 1_785_288_846),
        # 180 million on the sheet, 180,244,858 on the cover (0001564590-19-038256): so rounded it stands
        (TSLA, "Q", "2019-09-30", "shares_outstanding", "2019-10-30", 180 * M),
        # the cover's 391.7 million (0001193125-09-205690) are class B; net income 513 million, 1.04 a share
        (NKE, "Q", "2009-08-31", "shares_outstanding", "2009-10-09", None),
        # the average of that quarter, told again by the next year's 10-Q
        (NKE, "Q", "2009-08-31", "shares_outstanding", "2010-10-07", 485.8 * M),
        # averages of 50,798 and 542,307 alone (0001193125-11-044799, 0001045810-10-000018)
        (UAA, "FY", "2010-12-31", "shares_outstanding", "2011-03-01", None),
        (NVDA, "Q", "2009-04-26", "shares_outstanding", "2010-06-01", None),
        # 2,230 stated (0001045810-17-000123); 0001045810-18-000010 gives it to the six months, which were 4,167
        (NVDA, "Q", "2017-07-30", "revenue", "2018-03-01", 2_230 * M),
        (NVDA, "Q", "2017-07-30", "net_income", "2018-03-01", 583 * M),
        # 3,207 (0001045810-18-000028) + 2,911 + 2,636 + 2,230; 1,244 + 3,047 - 507 of the first quarter before
        (NVDA, "TTM", "2018-04-29", "revenue", "2018-05-23", 10_984 * M),
        (NVDA, "TTM", "2018-04-29", "net_income", "2018-05-23", 3_784 * M),
        # 1,229 stated (0001193125-09-153165); six months restated (0001193125-10-088957), nine not yet
        (AAPL, "Q", "2009-06-27", "net_income", "2010-04-22", 1_229 * M),
        (AAPL, "Q", "2009-06-27", "operating_income", "2010-04-22", 1_672 * M),
        # the year restated by 0001193125-10-012091: 42,905 + 29,182 - 20,964 of six months (0001193125-10-088957)
        (AAPL, "TTM", "2010-03-27", "revenue", "2010-04-22", 51_123 * M),
        (AAPL, "TTM", "2010-03-27", "net_income", "2010-04-22", (8_235 + 6_452 - 3_875) * M),
        # the year before restated, its nine months not: 4,834 + 4,039 - 3,698, all as first filed
        (AAPL, "TTM", "2009-06-27", "net_income", "2010-01-26", 5_175 * M),
        (AAPL, "TTM", "2009-06-27", "revenue", "2010-01-26", 34_562 * M),
        # the minus forgotten by 0000945436-12-000174 and -13-000129, -14-000071
        (SUNE, "Q", "2012-03-31", "net_income", "2012-11-10", -92.0 * M),
        (SUNE, "Q", "2012-03-31", "net_income", "2013-11-13", -98.6 * M),
        (SUNE, "Q", "2012-06-30", "net_income", "2013-11-13", -77.2 * M),
        (SUNE, "Q", "2013-03-31", "net_income", "2014-05-10", -89.4 * M),
        (SUNE, "Q", "2014-03-31", "net_income", "2014-05-10", -613.6 * M),  # from the start, beside -2.31 a share
        # nine months -138.8 in 0000945436-12-000174, which leaves a half of -153.3 that no longer holds; the year
        # -1,536.0 (0000945436-12-000008) less nine months -51.6
        (SUNE, "TTM", "2012-09-30", "net_income", "2012-11-10", (-138.8 - 1_536.0 + 51.6) * M),
        # it gives the half of 2011 the nine months' operating income -52.3, interest 50.9, net income -51.6; twice
        # told they are 51.5, 30.2 and 42.8: 21.1 + 51.5 + 12.0 of the half before (-12-000008, 0001193125-11-216740)
        (SUNE, "TTM", "2011-06-30", "operating_income", "2012-11-10", (21.1 + 51.5 + 12.0) * M),
        (SUNE, "TTM", "2012-06-30", "operating_income", "2013-08-08", (-69.5 - 1_300.5 - 51.5) * M),  # -13-000092
        (SUNE, "TTM", "2012-06-30", "interest_expense", "2013-08-08", (72.3 + 77.2 - 30.2) * M),
        (SUNE, "TTM", "2012-06-30", "net_income", "2013-08-08", (-175.8 - 1_536.0 - 42.8) * M),
        # -89.4, and the year -150.6 (0000945436-13-000020) less the quarter that it holds, restated since the nine
        # months, said by 0000945436-13-000051: -98.6
        (SUNE, "TTM", "2013-03-31", "net_income", "2013-05-10", (-89.4 - 150.6 + 98.6) * M),
        (SUNE, "TTM", "2013-06-30", "net_income", "2013-08-08", (-192.3 - 150.6 + 175.8) * M),
        # Nike: half 12,429 less quarter 5,955 (0001193125-13-008172) is 6,474, in 0000320187-13-000183 (6,669)
        (NKE, "TTM", "2013-02-28", "revenue", "2013-04-05", (18_616 + 24_128 - 17_658) * M),
        # CostOfRevenue 11,354 (0001193125-11-194791), CostOfGoodsSold 10,915 (0000320187-13-000092)
        (NKE, "FY", "2011-05-31", "cost_of_revenue", "2013-07-22", 11_354 * M),
        (NKE, "FY", "2011-05-31", "cost_of_revenue", "2013-07-24", 10_915 * M),
        (NKE, "TTM", "2011-05-31", "cost_of_revenue", "2013-07-24", 10_915 * M),
        # half 11,439 (0001193125-13-008172), the year before 20,862 less its half 10,017; costs 6,445 + 11,354 - 5,390
        (NKE, "TTM", "2011-11-30", "revenue", "2013-01-10", (11_439 + 20_862 - 10_017) * M),
        (NKE, "TTM", "2011-11-30", "cost_of_revenue", "2013-01-10", (6_445 + 11_354 - 5_390) * M),
        (NKE, "TTM", "2011-11-30", "gross_profit", "2013-01-10", (4_994 + 9_508 - 4_627) * M),
        (NKE, "TTM", "2013-08-31", "revenue", "2013-10-08", (6_971 + 25_313 - 6_474) * M),
        # McDonald's: half 2,993.6 less quarter 1,248.4 (0000063908-16-000142) is 1,745.2, said by 0000063908-17-000025
        (MCD, "TTM", "2017-03-31", "operating_cash_flow", "2017-05-09", (1_544.0 + 6_059.6 - 1_745.2) * M),
        # 5,349.0 (0000063908-20-000022); nine months recast by 0000063908-20-000076, the year by 0000063908-21-000013
        (MCD, "Q", "2019-12-31", "revenue", "2021-02-22", 5_349.0 * M),
        (MCD, "Q", "2019-12-31", "revenue", "2021-02-24", (21_364.4 - 15_936.2) * M),
        # -4,718.8 in two 10-Qs, 4,718.8 in 0000063908-19-000062
        (MCD, "Q", "2018-03-31", "shareholders_equity", "2019-08-07", -4_718.8 * M),
        # LongTermDebt is 0 beside convertible notes of 1,413 that are due (0001045810-16-000353), and 1,983 beside 796
        # (0001045810-17-000027): it does not hold them
        (NVDA, "Q", "2016-01-31", "long_term_debt", "2016-11-23", 0.0),
        (NVDA, "Q", "2017-01-29", "long_term_debt", "2017-03-02", 1_983 * M),
        # LongTermDebtCurrent -386 (0000097476-11-000055)
        (TXN, "Q", "2011-09-30", "long_term_debt", "2011-11-05", 4_215 * M),
        # LongTermDebtNoncurrent 0, LongTermDebtAndCapitalLeaseObligations 3,171.1 (0000945436-15-000184)
        (SUNE, "Q", "2013-12-31", "long_term_debt", "2015-07-08", 3_171.1 * M),
        # nine months 161.3 less half -26.4 (0001193125-11-216740), which is 161.3 too in 0000945436-12-000174
        (SUNE, "Q", "2011-09-30", "operating_cash_flow", "2012-11-10", (161.3 + 26.4) * M),
        # 1,723 in eleven filings; 2,216, of 2016-01-31, in 0000354950-19-000010
        (HD, "Q", "2015-02-01", "cash_and_equivalents", "2019-04-01", 1_723 * M),
        # 593.175 is of 2014-12-31 (0001336917-16-000064)
        (UAA, "Q", "2014-09-30", "cash_and_equivalents", "2016-02-23", 249.469 * M),
        # LongTermDebtNoncurrent 582.5 is ConvertibleDebtCurrent 582.502 (0001193125-13-435480); so 593.7 beside
        # 593.712 and ConvertibleDebtNoncurrent 1,767.024 (0001193125-14-303175); 0 beside 586.119 (...-14-069681)
        (TSLA, "Q", "2013-09-30", "long_term_debt", "2013-11-09", None),
        (TSLA, "Q", "2013-09-30", "short_term_debt", "2013-11-09", 582.502 * M),
        (TSLA, "Q", "2013-12-31", "long_term_debt", "2014-02-27", 586.119 * M),
        (TSLA, "Q", "2014-06-30", "long_term_debt", "2014-08-09", 1_767.024 * M),
        # ConvertibleNotesPayableCurrent 601.566; LongTermDebt 2,959.795 (0001564590-15-001031)
        (TSLA, "Q", "2014-12-31", "short_term_debt", "2015-02-27", 601.566 * M),
        (TSLA, "Q", "2014-12-31", "long_term_debt", "2015-02-27", (2_959.795 - 601.566) * M),
        # DebtCurrent 1.115 (0001564590-17-003118), thousands of it
        (TSLA, "Q", "2016-12-31", "short_term_debt", "2017-03-02", 984.211 * M),
        # LongTermDebtNoncurrent 352, LongTermLineOfCredit 275, LongTermDebt 669, current 42 (0001336917-16-000064)
        (UAA, "Q", "2015-12-31", "long_term_debt", "2016-02-23", (352 + 275) * M),
        # SalesRevenueGoodsNet of 2012 is 926.149 in the 10-Q 0001336917-14-000035
        (UAA, "FY", "2012-12-31", "revenue", "2014-08-06", 1_834.921 * M),
        (UAA, "TTM", "2012-12-31", "revenue", "2014-08-06", 1_834.921 * M),
        # LPA, ifrs-full: Revenue 31.983567 (0001493152-24-016772); basic EPS 0.048, then 0.28 (0001997711-25-000030)
        (LPA, "FY", "2022-12-31", "revenue", "2024-04-27", 31_983_567.0),
        (LPA, "FY", "2022-12-31", "eps_basic", "2024-04-27", 0.048),
        (LPA, "FY", "2022-12-31", "eps_basic", "2025-04-03", 0.28),
    ],
)
def test_figures_equal_those_read_in_the_filings(rows, cik, period_type, end, figure, on, expected):
    found = value(rows, cik, period_type, end, figure, on)
    assert found == (pytest.approx(expected, rel=1e-9) if expected is not None else None)


def test_nothing_is_known_before_its_acceptance(rows):
    # Apple's 0000320193-24-000123 was accepted at 06:01:36 New York on 2024-11-01
    row = rows.filter(cik=AAPL, period_type="FY", period_end=date(2024, 9, 28)).sort("known_on").row(0, named=True)
    assert row["accession_no"] == "0000320193-24-000123"
    assert row["known_at"] == datetime(2024, 11, 1, 10, 1, 36, tzinfo=UTC)
    assert row["fiscal_year"] == 2024


def test_two_filings_on_one_day_make_one_row_known_with_the_later(rows):
    # Apple 2010-01-25: 10-Q 0001193125-10-012085 and 10-K/A 0001193125-10-012091
    day = rows.filter(pl.col("cik") == AAPL, pl.col("known_on") == date(2010, 1, 25))
    assert not day.is_duplicated().any()
    assert day.select("period_end", "period_type").is_unique().all()


def test_quarters_of_52_and_53_week_years_follow_each_other(rows):
    for cik in (NVDA, AAPL, COST, HD, TXN, NKE):
        ends = rows.filter(pl.col("cik") == cik, pl.col("period_type") == "Q", pl.col("revenue").is_not_null())
        gaps = ends["period_end"].unique().sort().diff().drop_nulls().dt.total_days()
        assert gaps.min() >= 80
        assert gaps.max() <= 126, cik


@pytest.mark.parametrize("cik", [NVDA, AAPL, COST, WMT, HD, MCD, NKE, UAA, GOOGL, TXN, TSLA, DIS])
def test_each_years_quarters_add_up_to_it_as_first_known(rows, cik):
    first = rows.filter(cik=cik).sort("known_on").unique(["period_end", "period_type"], keep="first")
    years = first.filter(pl.col("period_type") == "FY", pl.col("period_end") >= date(2012, 1, 1))
    quarters = first.filter(pl.col("period_type") == "Q")
    checked = 0
    for year in years.iter_rows(named=True):
        inside = quarters.filter(pl.col("period_end").is_between(year["period_start"], year["period_end"]))
        if inside.height == 4 and inside["net_income"].null_count() == 0:
            checked += 1
            assert inside["net_income"].sum() == pytest.approx(year["net_income"], rel=0.05), year["period_end"]
    assert checked >= 4


def test_assets_are_liabilities_and_equity(rows):
    sheets = rows.drop_nulls(["total_assets", "total_liabilities", "shareholders_equity"])
    between = (pl.col("total_assets") - pl.col("total_liabilities") - pl.col("shareholders_equity")) / pl.col(
        "total_assets"
    )
    # the rest is other owners': SunEdison's, of its yieldcos, 15 %
    assert sheets.select(between.min()).item() > -0.01
    assert sheets.filter(pl.col("cik") != SUNE).select(between.max()).item() < 0.12


def test_revenue_is_costs_and_gross_profit(rows):
    apart = (pl.col("revenue") - pl.col("cost_of_revenue") - pl.col("gross_profit")).abs()
    assert rows.filter(apart > 0.005 * pl.col("revenue")).is_empty()


def test_shares_are_what_net_income_and_earnings_a_share_say(rows):
    of_one_filing = rows.filter(pl.col("eps_diluted").abs() > 0.05, pl.col("eps_filed_on") == pl.col("shares_filed_on"))
    said = (pl.col("net_income") / pl.col("eps_diluted")).abs()
    times = of_one_filing.drop_nulls(["shares_outstanding", "net_income"]).select(pl.col("shares_outstanding") / said)
    assert times.height > 1500
    assert 1 / 3 < times.to_series().min() <= times.to_series().max() < 3
    # filed on other days they may lie on other sides of a split, 20 for 1 at the most (Alphabet 2022)
    others = rows.filter(pl.col("eps_diluted").abs() > 0.05).select(pl.col("shares_outstanding") / said).to_series()
    assert 1 / 25 < others.drop_nulls().min() <= others.drop_nulls().max() < 25


def test_net_income_and_earnings_a_share_have_one_sign(rows):
    for earnings in ("eps_basic", "eps_diluted"):
        assert rows.filter(pl.col("net_income") * pl.col(earnings) < 0).is_empty()


def test_debt_is_not_negative(rows):
    assert rows.filter(pl.min_horizontal("short_term_debt", "long_term_debt") < 0).is_empty()


@pytest.mark.parametrize(("item", "figure"), [("revenue_reported", "revenue"), ("net_income_reported", "net_income")])
def test_a_stated_quarter_is_never_a_difference(rows, facts, item, figure):
    tags = concept_map().tags.filter(pl.col("item") == item).select("taxonomy", "concept")
    lasting = (pl.col("period_end") - pl.col("period_start")).dt.total_days() + 1
    stated = facts.filter(lasting.is_between(80, 100)).join(tags, on=["taxonomy", "concept"])
    near = pl.DataFrame({"days": range(-6, 7)})  # ends a few days apart are one
    told = stated.join(near, how="cross").select(
        "cik", pl.col("period_end") + pl.duration(days="days"), pl.col("filed_on").alias("told_on"), "value", "form"
    )
    quarters = rows.filter(pl.col("period_type") == "Q").drop_nulls(figure).with_row_index()
    known = quarters.join(told, on=["cik", "period_end"]).filter(pl.col("told_on") <= pl.col("known_on"))
    by_report = known.filter(pl.col("form").str.starts_with("10-Q"))
    as_stated = known.filter(pl.col(figure).abs() == pl.col("value").abs())  # then, or restated as a quarter since
    assert by_report["index"].n_unique() > 500
    assert by_report.join(as_stated, on="index", how="anti").is_empty()


def test_versions_that_jump_and_come_back_are_the_filers_own(rows):
    """A figure that moves by over 20 % and back to within 2 %: each is what a filing says, and a later one corrects."""
    period = ["cik", "period_type", "period_end"]
    found = set()
    for figure in FIGURES:
        told = rows.drop_nulls(figure).sort(*period, "known_on")
        changed = (pl.col(figure) != pl.col(figure).shift(1).over(period)).fill_null(True)
        told = told.filter(changed).with_columns(
            before=pl.col(figure).shift(1).over(period), after=pl.col(figure).shift(-1).over(period)
        )
        jump = (pl.col(figure) - pl.col("before")).abs() > 0.2 * pl.col("before").abs()
        back = (pl.col("after") - pl.col("before")).abs() < 0.02 * pl.col("before").abs()
        for row in told.filter(jump & back).iter_rows(named=True):
            found.add((row["cik"], row["period_end"], figure, row["accession_no"]))
    assert found == {
        # LongTermDebtNoncurrent 610.6 million in one 10-Q, with the debts of solar projects without recourse;
        # LongTermDebtAndCapitalLeaseObligations 20.5 before, beside it and after
        (SUNE, date(2010, 12, 31), "long_term_debt", "0001193125-11-216740"),
        # cash of the middle of the year is 1,294 million in the third quarter's 10-Q, 1,765 before and in the 10-Q/A
        (TXN, date(2009, 6, 30), "cash_and_equivalents", "0000097476-09-000041"),
    }


def test_a_company_that_stopped_filing_grows_stale(rows):
    newest = rows.filter(pl.col("cik") == SUNE)["period_end"].max()
    assert newest == date(2015, 9, 30)
    assert (date(2016, 4, 21) - newest).days > compute.STALE_AFTER_DAYS  # the day of its bankruptcy
