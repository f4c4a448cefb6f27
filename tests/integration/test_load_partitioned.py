"""Publishing into a partitioned table, as TimescaleDB's hypertables are: ctids are unique in each part only."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from load_steps import SESSION, bars, loaded, rows, staged
from sqlalchemy import text

from closingbell.audits import runner
from closingbell.warehouse import load, overrides

EARLIER = date(2024, 12, 5)
BARS = "SELECT session, security_id, close FROM closingbell.stock_prices ORDER BY 1, 2"


@pytest.fixture
def partitioned(database, monkeypatch):
    """stock_prices in two parts, with one bar in each that has the same ctid, and the row after it."""
    monkeypatch.setattr(runner, "_checkpoint", lambda *_: [])
    with database.begin() as connection:
        connection.execute(
            text(
                "ALTER TABLE closingbell.stock_prices RENAME TO plain;"
                "CREATE TABLE closingbell.stock_prices (LIKE closingbell.plain INCLUDING ALL)"
                " PARTITION BY RANGE (session);"
                "CREATE TABLE closingbell.p2024 PARTITION OF closingbell.stock_prices"
                " FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
                "CREATE TABLE closingbell.p2025 PARTITION OF closingbell.stock_prices"
                " FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"
            )
        )
    loaded(database, "first", both(10.0, 20.0))
    assert rows(database, "SELECT count(*), count(DISTINCT ctid) FROM closingbell.stock_prices") == [(4, 2)]
    return database


def both(earlier: float, later: float, *, landing_id: int = 1) -> pl.DataFrame:
    return pl.concat(
        bars([(1, close), (2, close)], session=session, landing_id=landing_id)
        for session, close in ((EARLIER, earlier), (SESSION, later))
    )


def test_a_correction_changes_the_row_of_its_own_part_only(partitioned):
    counts = loaded(partitioned, "corrected", bars([(1, 21.0)], landing_id=2))
    assert counts.rows_changed == counts.rows_updated == 1
    assert rows(partitioned, BARS) == [
        (EARLIER, 1, 10.0), (EARLIER, 2, 10.0), (SESSION, 1, 21.0), (SESSION, 2, 20.0),
    ]  # fmt: skip
    revised = "SELECT key ->> 'session', CAST(old_row ->> 'close' AS double precision), reason FROM ops.revisions"
    assert rows(partitioned, revised) == [(SESSION.isoformat(), 20.0, "changed")]


def test_corrections_in_two_parts_at_equal_ctids_each_reach_their_row(partitioned):
    assert loaded(partitioned, "corrected", both(11.0, 21.0, landing_id=2)).rows_updated == 4
    assert [close for *_, close in rows(partitioned, BARS)] == [11.0, 11.0, 21.0, 21.0]
    assert rows(partitioned, "SELECT count(*) FROM ops.revisions") == [(4,)]


def test_what_is_withdrawn_goes_from_its_own_part_only(partitioned):
    overrides.add(partitioned, "reject_bar", {"security_id": 1, "session": SESSION}, reason="bad print", author="ops")
    assert loaded(partitioned, "again", both(10.0, 20.0)).rows_deleted == 1
    left = [(EARLIER, 1, 10.0), (EARLIER, 2, 10.0), (SESSION, 2, 20.0)]
    assert rows(partitioned, BARS) == left
    load.audit(partitioned, stage_id := staged(partitioned, "replay", {"b": bars([(2, 20.0)])}))
    assert load.publish(partitioned, stage_id, remove_unstaged_of=[1]).rows_deleted == 2
    assert rows(partitioned, BARS) == left[2:]


def test_a_withdrawn_row_hides_none_of_another_part(partitioned):
    """Rejected in one part, no longer given in the other, at one ctid: both go."""
    overrides.add(partitioned, "reject_bar", {"security_id": 1, "session": SESSION}, reason="bad print", author="ops")
    kept = both(10.0, 20.0).filter(pl.col("security_id") == 2)
    load.audit(partitioned, stage_id := staged(partitioned, "replay", {"b": kept}))
    assert load.publish(partitioned, stage_id, remove_unstaged_of=[1]).rows_deleted == 2
    assert rows(partitioned, BARS) == [(EARLIER, 2, 10.0), (SESSION, 2, 20.0)]
