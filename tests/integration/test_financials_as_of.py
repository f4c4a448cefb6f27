"""The as-of read of statements: the newest version known at the moment, of the companies asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from sqlalchemy import Engine, text

from closingbell.fundamentals import compute
from closingbell.fundamentals.versions import FIGURES
from closingbell.warehouse import db

INSERT = """
INSERT INTO closingbell.financials (cik, period_end, period_type, known_on, known_at, currency, accession_no,
    source_accession_nos, revenue, fetched_at)
VALUES (:cik, '2020-03-31', 'Q', CAST(:known AS timestamptz)::date, CAST(:known AS timestamptz), 'USD', 'a', '{a}',
    :revenue, now())
"""


def test_the_newest_version_known_at_the_moment_is_read(database: Engine):
    versions = [(1, "2020-05-01 16:00-04", 10), (1, "2021-05-01 16:00-04", 9), (2, "2020-05-01 16:01-04", 5)]
    with database.begin() as connection:
        for cik, known, revenue in versions:
            connection.execute(text(INSERT), {"cik": cik, "known": known, "revenue": revenue})

    def revenues(moment: datetime, ciks: list[int] | None = None) -> list[tuple[int, float]]:
        return db.query(database, "financials_as_of", as_of=moment, ciks=ciks).select("cik", "revenue").rows()

    close = datetime(2020, 5, 1, 20, tzinfo=UTC)
    assert revenues(close) == [(1, 10)]
    assert revenues(close.replace(year=2022)) == [(1, 9), (2, 5)]
    assert revenues(close.replace(year=2022), [2]) == [(2, 5)]


def test_the_table_has_the_columns_of_the_rows(database: Engine):
    with database.connect() as connection:
        columns = connection.execute(
            text("SELECT attname FROM pg_attribute WHERE attrelid = 'closingbell.financials'::regclass AND attnum > 0")
        ).scalars()
        assert set(columns) - {"landing_id", "fetched_at"} == set(compute.SCHEMA)
    assert set(pl.Schema(compute.SCHEMA)) >= set(FIGURES + compute.RATIOS)
