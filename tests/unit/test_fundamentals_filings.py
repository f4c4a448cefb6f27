"""Filing histories: the three shapes SEC's answers come in, and what an acceptance time means in each."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from closingbell.fundamentals import filings

# (form, filed, acceptance as New York wall time): a filing accepted after 17:30 is dated the next business day
ACCEPTED = [
    ("10-K", "2024-11-01", "2024-11-01T06:01:36"),
    ("10-Q", "2024-08-02", "2024-08-01T18:03:34"),
    ("8-K", "2024-08-01", "2024-08-01T16:30:27"),
    ("4", "2024-10-17", "2024-10-17T18:30:00"),
    ("4", "2024-10-18", "2024-10-18T21:40:00"),
]


def columns(rows, *, offset_hours=0, accepted=True):
    at = [datetime.fromisoformat(when) for *_, when in rows]
    stamps = [(moment + timedelta(hours=offset_hours)).isoformat() for moment in at]
    return {
        "accessionNumber": [f"a-{n}" for n in range(len(rows))],
        "filingDate": [filed for _, filed, _ in rows],
        "reportDate": ["" for _ in rows],
        "acceptanceDateTime": [f"{stamp}.000Z" if accepted else "" for stamp in stamps],
        "form": [form for form, *_ in rows],
        "size": [1 for _ in rows],
    }


def answer(recent, **company):
    files = [
        {
            "name": "CIK0000000007-submissions-001.json",
            "filingCount": 2,
            "filingFrom": "2001-01-02",
            "filingTo": "2010-02-03",
        }
    ]
    return json.dumps({"cik": "0000000007", "name": "X CO", "sic": "3571", "sicDescription": "Computers",
                       "fiscalYearEnd": "0926", "tickers": ["X"], "exchanges": ["Nasdaq"], "entityType": "operating",
                       "stateOfIncorporation": "", "formerNames": [{"name": "Y CO"}],
                       "filings": {"recent": recent, "files": files}, **company}).encode()  # fmt: skip


@pytest.mark.parametrize(("offset", "source"), [(0, "acceptance_new_york"), (4, "acceptance_utc")])
def test_each_answer_is_read_as_new_york_or_utc_by_the_half_past_five_rule(offset, source):
    found = filings.parse_submissions(answer(columns(ACCEPTED, offset_hours=offset))).filings
    assert found["known_at_source"].unique().to_list() == [source]
    assert found["known_at"][0] == datetime(2024, 11, 1, 10, 1, 36, tzinfo=UTC)
    assert found["known_at"][1] == datetime(2024, 8, 1, 22, 3, 34, tzinfo=UTC)


# accepted after the close, before 17:30 New York: no rule tells whether these are New York's hours or UTC's
TIED = [
    ("10-K", "2024-03-07", "2024-03-07T16:30:00"),
    ("10-Q", "2024-05-09", "2024-05-09T16:15:00"),
    ("10-Q", "2024-08-08", "2024-08-08T16:20:00"),
]


def test_where_no_rule_tells_the_later_reading_counts():
    found = filings.parse_submissions(answer(columns(TIED))).filings
    assert found["known_at_source"].unique().to_list() == ["acceptance_new_york"]
    assert found["known_at"][1] == datetime(2024, 5, 9, 20, 15, tzinfo=UTC)  # after the close, not 12:15 New York


def test_a_companys_pages_are_read_together():
    newest = filings.parse_submissions(answer(columns(ACCEPTED, offset_hours=4))).filings  # UTC, as its rows tell
    early = [("10-Q", "2014-05-09", "2014-05-09T07:15:00"), ("10-Q", "2014-08-08", "2014-08-08T12:20:00")]
    page = filings.parse_page(json.dumps(columns(early, offset_hours=4)).encode(), cik=7).filings
    page = page.with_columns(accession_no="page-" + pl.col("accession_no"))
    assert page["known_at_source"].unique().to_list() == ["acceptance_new_york"]  # alone it does not tell
    both = filings.read_together(pl.concat([newest, page]))
    assert both["known_at_source"].unique().to_list() == ["acceptance_utc"]
    assert both.filter(accession_no="page-a-0")["known_at"].item() == datetime(2014, 5, 9, 11, 15, tzinfo=UTC)
    assert filings.read_together(both).equals(both)


def test_midnight_is_a_date_not_a_time():
    old = [("10-K", "2001-03-29", "2001-03-29T00:00:00"), ("10-Q", "2002-05-13", "2002-05-13T13:41:21")]
    found = filings.parse_submissions(answer(columns(old))).filings
    assert found["known_at_source"].to_list() == ["filed_on_22", "acceptance_new_york"]
    assert found["known_at"][0] == datetime(2001, 3, 30, 3, tzinfo=UTC)


def test_without_acceptance_a_filing_is_known_at_ten_in_the_evening():
    found = filings.parse_submissions(answer(columns(ACCEPTED, accepted=False))).filings
    assert found["known_at_source"].unique().to_list() == ["filed_on_22"]
    assert found["known_at"][0] == datetime(2024, 11, 2, 2, tzinfo=UTC)


def test_a_history_says_who_the_company_is_and_which_pages_are_older():
    history = filings.parse_submissions(answer(columns(ACCEPTED, offset_hours=4)))
    assert (history.cik, history.sic, history.fiscal_year_end, history.state) == (7, 3571, "0926", None)
    assert (history.tickers, history.exchanges, history.former_names) == (("X",), ("Nasdaq",), ("Y CO",))
    page = history.pages[0]
    assert (page.name, page.filed_from, page.filed_to) == (
        "CIK0000000007-submissions-001.json",
        date(2001, 1, 2),
        date(2010, 2, 3),
    )


def test_an_older_page_is_bare_columns():
    page = filings.parse_page(json.dumps(columns(ACCEPTED, offset_hours=4)).encode(), cik=7)
    assert page.filings["cik"].to_list() == [7] * 5


def test_another_shape_is_an_error_that_names_the_column():
    broken = columns(ACCEPTED)
    del broken["filingDate"]
    with pytest.raises(ValueError, match=r"sec_edgar submissions: .*filingDate"):
        filings.parse_submissions(answer(broken))
    short = columns(ACCEPTED) | {"form": ["10-K"]}
    with pytest.raises(ValueError, match="columns of different length"):
        filings.parse_submissions(answer(short))
    with pytest.raises(ValueError, match="submissions_page of CIK 7"):
        filings.parse_page(b"[]", cik=7)


@pytest.mark.real
def test_the_two_recordings_of_apples_history_agree_on_every_instant(recordings: Path):
    # 0000320193-24-000123 is accepted at 06:01:36Z in one recording and 10:01:36Z in the other
    one, two = (
        filings.parse_submissions(
            gzip.decompress((recordings / "data.sec.gov" / folder / "CIK0000320193.json.gz").read_bytes())
        ).filings
        for folder in ("submissions", "submissions_merged")
    )
    both = one.join(two, on="accession_no", suffix="_two")
    assert both.height > 900
    assert (both["known_at"] == both["known_at_two"]).all()
    assert both.filter(accession_no="0000320193-24-000123")["known_at"].item() == datetime(
        2024, 11, 1, 10, 1, 36, tzinfo=UTC
    )


@pytest.mark.real
@pytest.mark.parametrize("cik", [945436, 865941, 50863])
def test_no_four_reports_of_a_recorded_history_seem_known_too_early(recordings: Path, cik):
    """Read alone, four 10-K and 10-Q break no rule either way: they came out 4 to 5 hours early, before the close."""
    path = recordings / "data.sec.gov" / "submissions_merged" / f"CIK{cik:010d}.json.gz"
    whole = filings.parse_submissions(gzip.decompress(path.read_bytes())).filings
    reports = whole.filter(pl.col("form").is_in(["10-K", "10-Q"])).with_columns(
        part=pl.int_range(pl.len()) // 4, truth=pl.col("known_at")
    )
    alone = filings.read_together(reports, by=("cik", "part"))
    assert alone.filter(pl.col("known_at") < pl.col("truth")).is_empty()
