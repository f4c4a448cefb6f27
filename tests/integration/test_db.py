"""Queries as frames, migrations, on a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from sqlalchemy import make_url, text

from closingbell.prices.compute import exact, is_spin_off
from closingbell.settings import settings
from closingbell.warehouse import db


@pytest.fixture
def queries(tmp_path, monkeypatch):
    """Makes a query of this test's own: queries(name, sql)."""
    (tmp_path / "queries").mkdir()
    monkeypatch.setattr(settings(), "sql_dir", tmp_path)
    db.sql.cache_clear()
    yield lambda name, sql: (tmp_path / "queries" / f"{name}.sql").write_text(sql)
    db.sql.cache_clear()


def test_every_type_comes_back_typed_and_exact(database, queries):
    queries(
        "types",
        """
        SELECT 1::integer AS i, 9007199254740993::bigint AS big, 0.1::double precision AS f, 12.5::numeric AS n,
               true AS b, DATE '1999-12-31' AS d, TIMESTAMPTZ '2024-03-10 02:59:59.123456-05' AS t,
               ARRAY['a,"b', NULL, '']::text[] AS a, ARRAY[1, 2]::bigint[] AS ids, '{"x": [1]}'::jsonb AS j,
               ''::text AS empty, NULL::text AS nothing, :word AS word;
        """,
    )
    frame = db.query(database, "types", word="100 % o'clock :not_a_parameter")
    assert frame.schema == {
        "i": pl.Int64, "big": pl.Int64, "f": pl.Float64, "n": pl.Float64, "b": pl.Boolean, "d": pl.Date,
        "t": pl.Datetime("us", "UTC"), "a": pl.List(pl.String), "ids": pl.List(pl.Int64), "j": pl.String,
        "empty": pl.String, "nothing": pl.String, "word": pl.String,
    }  # fmt: skip
    assert frame.row(0) == (
        1, 9007199254740993, 0.1, 12.5, True, date(1999, 12, 31), datetime(2024, 3, 10, 7, 59, 59, 123456, tzinfo=UTC),
        ["a,\"b", None, ""], [1, 2], '{"x": [1]}', "", None, "100 % o'clock :not_a_parameter",
    )  # fmt: skip


def test_a_single_null_is_a_row(database, queries):
    queries("nulls", "SELECT NULLIF(n, 2) AS n FROM generate_series(1, 3) n WHERE n = ANY(:wanted)")
    assert db.query(database, "nulls", wanted=[1, 2, 3])["n"].to_list() == [1, None, 3]
    assert db.query(database, "nulls", wanted=[]).schema == {"n": pl.Int64}


def test_a_missing_parameter_and_a_missing_query_are_named(database, queries):
    queries("days", "SELECT :first AS first, :last AS last")
    with pytest.raises(TypeError, match=r"days.*last"):
        db.query(database, "days", first=1)
    with pytest.raises(LookupError, match=r"nowhere\.sql"):
        db.query(database, "nowhere")


def test_a_query_sees_its_connections_transaction(database, queries):
    queries("failures", "SELECT count(*) AS n FROM ops.fetch_failures")
    with database.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.fetch_failures (vendor, endpoint, key, error, dag_id, run_id) "
                "VALUES ('sec_edgar', 'companyfacts', '1', 'x', 'd', 'r')"
            )
        )
        assert db.query(connection, "failures")["n"].item() == 1
    assert db.query(database, "failures")["n"].item() == 0


def test_migrations_apply_to_an_empty_and_to_a_filled_database_and_rerun_harmlessly(new_database):
    url = new_database(None)
    engine = db.engine(url)
    applied = db.migrate(url)
    assert applied == sorted(path.stem for path in (settings().sql_dir / "migrations").glob("*.sql"))
    assert db.pending_migrations(url) == []
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.stock_prices (security_id, session, open, high, low, close, volume, source, "
                "final, fetched_at) VALUES (1, '2025-12-05', 1, 1, 1, 1, 1, 'polygon', true, now())"
            )
        )
    assert db.migrate(url) == []
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM closingbell.stock_prices")) == 1


def test_a_later_migration_applies_to_a_filled_database(new_database, tmp_path, monkeypatch):
    url = new_database(None)
    db.migrate(url)
    with db.engine(url).begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.securities (security_id, cik, name, type, fetched_at) "
                "VALUES (1, 1, 'A', 'CS', now())"
            )
        )
    (tmp_path / "migrations").mkdir()
    for path in (settings().sql_dir / "migrations").glob("*.sql"):
        (tmp_path / "migrations" / path.name).write_text(path.read_text())
    newest = max(path.stem for path in (tmp_path / "migrations").glob("*.sql"))
    (tmp_path / "migrations/9999_lot.sql").write_text(
        f"-- depends: {newest}\nALTER TABLE closingbell.securities ADD COLUMN lot integer NOT NULL DEFAULT 100;\n"
    )
    monkeypatch.setattr(settings(), "sql_dir", tmp_path)
    assert db.migrate(url) == ["9999_lot"]
    with db.engine(url).connect() as connection:
        assert connection.scalar(text("SELECT lot FROM closingbell.securities")) == 100


def test_what_was_loaded_before_spin_offs_and_inferred_types_were_told_is_told_after(
    new_database, tmp_path, monkeypatch
):
    """The rule of the migration is `is_spin_off`: prices move, share counts do not. SEC's list has no types."""
    migrations = settings().sql_dir / "migrations"
    (tmp_path / "migrations").mkdir()
    for path in migrations.glob("*.sql"):
        if path.stem < "0027":
            (tmp_path / "migrations" / path.name).write_text(path.read_text())
    told = [
        (1253, 1000),
        (523, 500),
        (297, 125),
        (103, 100),
        (41, 40),
        (999, 500),
        (21, 20),
        (3, 2),
        (7, 1),
        (1, 30),
        (1.05, 1),
    ]
    url = new_database(None)
    with monkeypatch.context() as before:
        before.setattr(settings(), "sql_dir", tmp_path)
        db.migrate(url)
    put = (
        "INSERT INTO closingbell.corporate_actions (security_id, ex_date, kind, numerator, denominator, known_at, "
        "source, fetched_at) VALUES (:id, '2024-04-02', 'split', :numerator, :denominator, now(), 'yahoo', now())"
    )
    with db.engine(url).begin() as connection:
        for id_, (numerator, denominator) in enumerate(told):
            connection.execute(text(put), {"id": id_, "numerator": numerator, "denominator": denominator})
        for id_, vendor in enumerate(("sec_edgar", "polygon")):
            landed = (
                "INSERT INTO ops.landings (vendor, endpoint, key, request, path, sha256, bytes, answered_at) VALUES"
            )
            listed = "INSERT INTO closingbell.securities (security_id, name, type, landing_id, fetched_at) VALUES"
            values = {"vendor": vendor, "id": id_}
            landing = f"{landed} (:vendor, 'tickers', 'all', '{{}}', '', '', 0, now()) RETURNING landing_id"
            landing_id = connection.scalar(text(landing), values)
            connection.execute(
                text(f"{listed} (:id, 'X', 'CS', :landing_id, now())"), values | {"landing_id": landing_id}
            )
    db.migrate(url)
    spun = {id_ for id_, (n, d) in enumerate(told) if is_spin_off(exact(n) / exact(d))}
    assert spun == {0, 1, 2}
    assert db.query(db.engine(url), "securities_all")["type_inferred"].to_list() == [True, False]
    last = date(2024, 4, 2)
    prices = db.query(db.engine(url), "price_splits", last=last)
    assert set(prices.filter(kind="spin_off")["security_id"]) == spun
    assert set(db.query(db.engine(url), "score_splits", last=last)["security_id"]) == set(range(len(told))) - spun


def test_text_sorts_by_code_point_in_a_database_that_we_create(postgres_url):
    url = make_url(postgres_url).set(database="closingbell_sorts")
    assert db.create_database(url)
    assert not db.create_database(url)
    engine = db.engine(url)
    try:
        with engine.connect() as connection:
            names = connection.execute(
                text("SELECT name FROM unnest(ARRAY['b', 'a', 'É', 'B', '-', 'BRK.B', 'BRKA']) AS name ORDER BY 1")
            )
            assert names.scalars().all() == ["-", "B", "BRK.B", "BRKA", "a", "b", "É"]
    finally:
        engine.dispose()
        with db.engine(postgres_url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text('DROP DATABASE "closingbell_sorts" WITH (FORCE)'))


def test_two_migrations_at_once_apply_each_file_once(new_database):
    from concurrent.futures import ThreadPoolExecutor

    url = new_database(None)
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(db.migrate, [url, url])
    assert sorted([len(first), len(second)]) == [0, len(list((settings().sql_dir / "migrations").glob("*.sql")))]
