"""The SEC's pages of 13F data sets and fails-to-deliver files -> which there are, of which days, and where.

In: the HTML of sec.gov/data-research/sec-markets-data/form-13f-data-sets and .../fails-deliver-data. Out: `FILES`. The
names say the days: 2023q4_form13f.zip holds what was filed in that quarter, 01sep2024-30nov2024_form13f.zip (since
2024) what was filed between these days, cnsfails202411a.zip the first half of a month's settlement days, b the rest.
Folders on sec.gov have changed over the years, so that the links are read, not built.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

FILES: dict[str, Any] = {"name": pl.String, "first": pl.Date, "last": pl.Date, "path": pl.String}
"""first, last: days of filing, or of settlement, that a file holds; path: below www.sec.gov. Oldest first."""

LINK = re.compile(rb"""href\s*=\s*["'](?:https://www\.sec\.gov)?(/files/[\w./-]+\.zip)["']""", re.IGNORECASE)
DATA_SET = re.compile(r"(\d{4})q([1-4])_form13f|(\d{2}[a-z]{3}\d{4})-(\d{2}[a-z]{3}\d{4})_form13f", re.IGNORECASE)
FAILS = re.compile(r"cnsfails(\d{4})(\d{2})([ab])", re.IGNORECASE)
FILING_DAYS = 50
"""A quarter's reports are due 45 days after its end, a few days later where that is no business day."""


def data_sets(page: bytes) -> pl.DataFrame:
    """FILES of the page of 13F data sets; raises ValueError where it links none."""
    return _files(page, "form13f_sets", data_set_days)


def fails_files(page: bytes) -> pl.DataFrame:
    """FILES of the page of fails-to-deliver files; raises ValueError where it links none."""
    return _files(page, "fails_to_deliver_files", fails_days)


def data_set_days(name: str) -> tuple[str, date, date] | None:
    """(short name, first and last day of filing) that a data set's file name says; None where it says none."""
    if (match := DATA_SET.search(name)) is None:
        return None
    if match[1]:
        quarter = int(match[2])
        first, month = date(int(match[1]), 3 * quarter - 2, 1), 3 * quarter
        return match[0].lower().removesuffix("_form13f"), first, _month_end(first.year, month)
    try:
        first, last = (datetime.strptime(text, "%d%b%Y").date() for text in (match[3], match[4]))  # noqa: DTZ007 dates
    except ValueError:
        return None
    return match[0].lower().removesuffix("_form13f"), first, last


def fails_days(name: str) -> tuple[str, date, date] | None:
    """(short name, first and last settlement day) that a fails-to-deliver file's name says; None where none."""
    if (match := FAILS.search(name)) is None or not 1 <= int(match[2]) <= 12:
        return None
    year, month, half = int(match[1]), int(match[2]), match[3].lower()
    days = (1, 15) if half == "a" else (16, monthrange(year, month)[1])
    return match[0].lower(), date(year, month, days[0]), date(year, month, days[1])


def of_quarter(sets: pl.DataFrame, quarter: date) -> pl.DataFrame:
    """The data sets that hold the reports of a quarter (its last day), late ones and amendments aside."""
    due = quarter + timedelta(days=FILING_DAYS)
    return sets.filter(pl.col("first") <= due, pl.col("last") > quarter)


def quarter_end(text: str) -> date:
    """2024Q3 or 2024-09-30 -> the quarter's last day; raises ValueError naming what it takes."""
    if match := re.fullmatch(r"(\d{4})-?[qQ]([1-4])", text.strip()):
        return _month_end(int(match[1]), 3 * int(match[2]))
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        day = None
    if day is None or day.month % 3 or day != _month_end(day.year, day.month):
        raise ValueError(f"{text!r} is no quarter: write 2024Q3")
    return day


def last_quarters(today: date, count: int) -> list[date]:
    """The last days of the `count` quarters that ended last before `today`, oldest first."""
    year, quarter = today.year, (today.month - 1) // 3
    ends = []
    for back in range(count):
        place = year * 4 + quarter - 1 - back
        ends.append(_month_end(place // 4, 3 * (place % 4) + 3))
    return ends[::-1]


def next_quarter(quarter: date) -> date:
    """The last day of the quarter after."""
    return last_quarters(quarter + timedelta(days=100), 1)[0]


def _files(page: bytes, endpoint: str, days: Any) -> pl.DataFrame:
    rows = dict(_linked(page, days))
    if not rows:
        raise ValueError(f"sec_edgar {endpoint}: the page links no file of the expected name; did SEC rename them?")
    return pl.DataFrame(list(rows.values()), schema=FILES, orient="row").sort("first", "name")


def _linked(page: bytes, days: Any) -> Iterator[tuple[str, tuple[str, date, date, str]]]:
    for link in LINK.findall(page):
        path = link.decode()
        if found := days(path.rpartition("/")[2]):
            yield found[0], (*found, path)


def _month_end(year: int, month: int) -> date:
    return date(year, month, monthrange(year, month)[1])
