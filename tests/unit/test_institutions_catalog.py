"""What the SEC's pages link, quarters and windows; what is outstanding on a quarter's basis; rows that say news."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from closingbell.institutions import catalog, compute

PAGE = b"""<html><a href="/files/structureddata/data/form-13f-data-sets/01sep2024-30nov2024_form13f.zip">2024</a>
<a class="x" href="https://www.sec.gov/files/datastandardsinnovation/data/form-13f-data-sets/01jun2026-31aug2026_form13f.zip">
<a href="/files/structureddata/data/form-13f-data-sets/2023q4_form13f.zip"><a href="/files/form_13f_readme.pdf">
<a href="https://evil.example/files/01sep2025-30nov2025_form13f.zip"></html>"""
Q3 = date(2024, 9, 30)


def moment(day: int, hour: int = 12) -> datetime:
    return datetime(2024, 11, day, hour, tzinfo=UTC)


def test_data_sets_are_those_that_the_page_links_in_whatever_folder():
    found = catalog.data_sets(PAGE)
    assert found.select("name", "first", "last").rows() == [
        ("2023q4", date(2023, 10, 1), date(2023, 12, 31)),
        ("01sep2024-30nov2024", date(2024, 9, 1), date(2024, 11, 30)),
        ("01jun2026-31aug2026", date(2026, 6, 1), date(2026, 8, 31)),
    ]
    assert found["path"][2].startswith("/files/datastandardsinnovation/")


def test_a_page_without_files_is_an_error_and_not_an_empty_list():
    with pytest.raises(ValueError, match="links no file of the expected name"):
        catalog.data_sets(b"<html>We moved</html>")


def test_fails_files_are_halves_of_months():
    page = (
        b'<a href="/files/data/fails-deliver-data/cnsfails202402b.zip"><a href="/files/node/x/cnsfails202403a_0.zip">'
    )
    assert catalog.fails_files(page).select("name", "first", "last").rows() == [
        ("cnsfails202402b", date(2024, 2, 16), date(2024, 2, 29)),
        ("cnsfails202403a", date(2024, 3, 1), date(2024, 3, 15)),
    ]


def test_a_quarters_reports_are_in_the_set_of_its_deadline():
    sets = catalog.data_sets(PAGE)
    assert catalog.of_quarter(sets, Q3)["name"].to_list() == ["01sep2024-30nov2024"]
    assert catalog.of_quarter(sets, date(2023, 9, 30))["name"].to_list() == ["2023q4"]
    assert catalog.of_quarter(sets, date(2025, 3, 31)).is_empty()


def test_quarters_are_named_by_their_last_day():
    assert [catalog.quarter_end(text) for text in ("2024Q3", "2024-q3", "2024-09-30")] == [Q3] * 3
    for text in ("2024Q5", "2024-09-29", "2024-10-31", "soon"):
        with pytest.raises(ValueError, match="is no quarter: write 2024Q3"):
            catalog.quarter_end(text)
    assert catalog.last_quarters(date(2025, 1, 1), 2) == [Q3, date(2024, 12, 31)]
    assert catalog.next_quarter(date(2024, 12, 31)) == date(2025, 3, 31)


def test_shares_outstanding_are_those_known_then_on_the_quarters_basis():
    versions = pl.DataFrame(
        {
            "security_id": [1, 1, 2, 3],
            "period_end": [date(2024, 6, 30), Q3, date(2024, 6, 30), date(2024, 12, 31)],
            "known_at": [moment(1), moment(20), moment(1), moment(1)],
            "shares_outstanding": [100.0, 110.0, 50.0, 9.0],
            "counted_on": [date(2024, 8, 1), date(2024, 11, 20), date(2024, 8, 1), date(2024, 12, 31)],
            "of_class": [False] * 4,
        }
    )
    splits = pl.DataFrame(  # one before the quarter's end, one between it and the later report
        {
            "security_id": [2, 1],
            "ex_date": [date(2024, 9, 2), date(2024, 10, 15)],
            "numerator": [2.0, 10.0],
            "denominator": [1.0, 1.0],
        }
    )

    def known(as_of: datetime) -> dict[int, float]:
        found = compute.shares_outstanding(versions, splits, quarter=Q3, as_of=as_of)
        return dict(found.sort("security_id").iter_rows())

    assert known(moment(10)) == {1: 100.0, 2: 100.0}
    assert known(moment(21)) == {1: pytest.approx(11.0), 2: 100.0}


def ownership(**columns: list) -> pl.DataFrame:
    size = len(columns["security_id"])
    zeros = dict.fromkeys(("holders", "shares", "market_value", "put_shares", "call_shares", "filers"), [0] * size)
    fixed = {"quarter": [Q3] * size, "known_at": [moment(14)] * size}
    frame = pl.DataFrame(zeros | fixed | columns)
    missing = [pl.lit(None).alias(name) for name in compute.OWNERSHIP if name not in frame.columns]
    return frame.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in compute.OWNERSHIP.items())


def test_a_session_has_rows_only_of_what_changed_and_of_what_nobody_holds_any_more():
    before = ownership(security_id=[1, 2, 3], holders=[2, 1, 1], shares=[20, 5, 7], filers=[9, 9, 9])
    now = ownership(security_id=[1, 2, 4], holders=[2, 2, 1], shares=[20, 8, 1], filers=[10, 10, 10])
    changed = compute.changed(now, before).sort("security_id")
    assert changed.select("security_id", "holders", "shares", "filers").rows() == [
        (2, 2, 8, 10),
        (3, 0, 0, 10),
        (4, 1, 1, 10),
    ]
    assert compute.changed(now, now).is_empty()
    assert compute.changed(now, ownership(security_id=[])).height == 3
