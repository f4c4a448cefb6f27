"""Connections to the warehouse, its migrations, and the queries of sql/queries as polars frames.

Every connection is psycopg2 and speaks UTC. A process keeps two a server at most while nobody uses them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import polars as pl
from psycopg2 import sql as identifiers
from sqlalchemy import URL, Connection, Engine, TextClause, create_engine, make_url, text

from closingbell.settings import settings

WAREHOUSE_CONN_ID = "warehouse"
_MIGRATION_LOCK = 0x636C6F73  # one migration at a time; a killed one frees it, which yoyo's own lock table does not

_SQL_LIMIT_0 = identifiers.SQL("SELECT * FROM ({rows}\n) AS answer LIMIT 0")
_SQL_CREATE = identifiers.SQL("CREATE DATABASE {} TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'C'")
_SQL_COPY = identifiers.SQL("COPY (SELECT 0, {values} FROM ({rows}\n) AS answer) TO STDOUT (FORMAT csv)")

# type oids of pg_type that differ from text in CSV
_BOOL, _BYTES, _TIMESTAMPTZ, _TIMESTAMP, _TEXT_ARRAY, _BIGINT_ARRAY = 16, 17, 1184, 1114, 1009, 1016
_TYPES: dict[int, pl.DataType] = {
    _BOOL: pl.Int8(),
    20: pl.Int64(),
    21: pl.Int64(),
    23: pl.Int64(),
    26: pl.Int64(),
    700: pl.Float64(),
    701: pl.Float64(),
    1700: pl.Float64(),
    1082: pl.Date(),
    _TIMESTAMPTZ: pl.Int64(),
    _TIMESTAMP: pl.Int64(),
}


class NoWarehouse(RuntimeError):
    """No setting and no connection names the warehouse."""


def warehouse_url() -> URL:
    """CLOSINGBELL_DATABASE_URL, else Airflow's connection `warehouse`; raises NoWarehouse."""
    if address := settings().database_url:
        return _psycopg2(make_url(address))
    try:
        return connection_url(WAREHOUSE_CONN_ID)
    except LookupError as error:
        raise NoWarehouse(
            "no warehouse is configured: set CLOSINGBELL_DATABASE_URL, or Airflow's connection `warehouse` (postgres)"
        ) from error


def connection_url(conn_id: str) -> URL:
    """An Airflow connection of type postgres as a URL; raises LookupError where there is none."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException

    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowException as error:
        raise LookupError(f"no connection {conn_id}: add it, or set AIRFLOW_CONN_{conn_id.upper()}") from error
    return URL.create(
        "postgresql+psycopg2",
        username=connection.login,
        password=connection.password,
        host=connection.host or None,
        port=connection.port,
        database=connection.schema,
        query={name: value for name, value in connection.extra_dejson.items() if isinstance(value, str)},
    )


def engine(url: str | URL | None = None) -> Engine:
    """This process's engine on `url`, else on the configured warehouse.

    Its pool opens as many connections as are asked for and keeps two. What a session holds (advisory locks) outlives
    `close`: detach such a connection first.
    """
    return _engine(_psycopg2(make_url(url)) if url is not None else warehouse_url())


@cache
def _engine(address: URL) -> Engine:
    engine = create_engine(
        address,
        pool_size=2,
        max_overflow=-1,
        pool_pre_ping=True,  # the server may have been restarted since
        connect_args={"options": "-c timezone=UTC", "connect_timeout": 15, "application_name": "closingbell"},
    )
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))  # a fork must not share a socket
    return engine


@lru_cache(maxsize=256)
def sql(name: str) -> str:
    """The text of sql/queries/<name>.sql."""
    path = settings().sql_dir / "queries" / f"{name}.sql"
    try:
        return path.read_text().rstrip().removesuffix(";")
    except FileNotFoundError:
        raise LookupError(f"no query {name!r}: {path} does not exist; is CLOSINGBELL_SQL_DIR right?") from None


def statement(name: str) -> TextClause:
    """sql/queries/<name>.sql with bound parameters."""
    return text(sql(name))


def query(source: Engine | Connection, name: str, **params: Any) -> pl.DataFrame:
    """The rows of sql/queries/<name>.sql as a frame.

    Integers Int64, floats and numerics Float64, dates Date, timestamps Datetime("us", "UTC"), text[] List(String),
    bigint[] List(Int64), jsonb and everything else String. A connection's own transaction is used, and left open.
    """
    compiled = statement(name).compile(dialect=_dialect())
    if missing := set(compiled.params) - set(params):
        raise TypeError(f"query {name!r} needs {sorted(missing)}")
    with _cursor(source) as cursor:
        rows = identifiers.SQL(cursor.mogrify(str(compiled), params).decode())
        # names and types; nothing is computed
        cursor.execute(_SQL_LIMIT_0.format(rows=rows))
        columns = [(column.name, column.type_code) for column in cursor.description]
        if len({column for column, _ in columns}) != len(columns):
            raise ValueError(f"query {name!r} gives two columns of one name: {[column for column, _ in columns]}")
        values = [identifiers.SQL(_as_text(oid)).format(identifiers.Identifier(column)) for column, oid in columns]
        csv = io.BytesIO()
        cursor.copy_expert(_SQL_COPY.format(values=identifiers.SQL(", ").join(values), rows=rows), csv)
    # the column "" keeps a row of one null from being an empty line, which is skipped
    read: dict[str, Any] = {"": pl.Int8(), **{column: _TYPES.get(oid, pl.String()) for column, oid in columns}}
    csv.seek(0)
    frame = pl.read_csv(csv, has_header=False, schema=read) if csv.getbuffer().nbytes else pl.DataFrame(schema=read)
    frame = frame.drop("")
    return frame.with_columns(*(_finish(column, oid) for column, oid in columns if oid in _FINISHED))


def run(cursor: Any, name: str, fragments: Mapping[str, identifiers.Composable], **params: Any) -> None:
    """Execute sql/queries/<name>.sql whose {placeholders} are identifiers or lists of them; read from the cursor."""
    compiled = str(statement(name).compile(dialect=_dialect()))
    cursor.execute(identifiers.SQL(compiled).format(**fragments), params)


def migrate(url: str | URL | None = None) -> list[str]:
    """Apply the migrations of sql/migrations that are not applied yet; their ids. Reruns are harmless."""
    from yoyo import get_backend, read_migrations

    warehouse = engine(url)
    with warehouse.connect().execution_options(isolation_level="AUTOCOMMIT") as lock:
        lock.detach()  # held until the connection closes
        lock.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        backend = get_backend(libpq_url(warehouse.url))
        try:
            pending = backend.to_apply(read_migrations(str(settings().sql_dir / "migrations")))
            names = [migration.id for migration in pending]
            backend.apply_migrations(pending)
        finally:
            backend.connection.close()
    return names


def pending_migrations(url: str | URL | None = None) -> list[str]:
    """Ids of the migrations that `migrate` would apply now."""
    from yoyo import get_backend, read_migrations

    backend = get_backend(libpq_url(engine(url).url))
    try:
        return [m.id for m in backend.to_apply(read_migrations(str(settings().sql_dir / "migrations")))]
    finally:
        backend.connection.close()


def create_database(url: str | URL) -> bool:
    """Create the database that `url` names, on its server, unless it exists; whether it was created.

    Text sorts by code point there whatever the server's locale: the same everywhere, and faster to compare.
    """
    from psycopg2.errors import DuplicateDatabase
    from sqlalchemy.exc import ProgrammingError

    wanted = make_url(url)
    server = engine(wanted.set(database="postgres"))
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": wanted.database}):
            return False
        with cursor_of(connection) as cursor:
            name = identifiers.Identifier(wanted.database or "")
            try:
                cursor.execute(_SQL_CREATE.format(name))
            except (DuplicateDatabase, ProgrammingError):
                return False
    return True


def libpq_url(url: URL) -> str:
    """The URL, with its password, for clients that are no SQLAlchemy."""
    if "host" in url.query:  # a socket folder; they would prefer the host name
        url = url._replace(host=None)
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def cursor_of(connection: Connection) -> Iterator[Any]:
    """A psycopg2 cursor in the connection's transaction, for COPY and for identifiers."""
    cursor = connection.connection.cursor()
    try:
        yield cursor
    finally:
        cursor.close()


@contextmanager
def _cursor(source: Engine | Connection) -> Iterator[Any]:
    if isinstance(source, Connection):
        with cursor_of(source) as cursor:
            yield cursor
        return
    with source.connect() as connection, cursor_of(connection) as cursor:
        yield cursor


@lru_cache(maxsize=1)
def _dialect():
    from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

    return PGDialect_psycopg2()


def _psycopg2(url: URL) -> URL:
    if not url.drivername.startswith(("postgresql", "postgres")):
        raise NoWarehouse(f"the warehouse is a PostgreSQL, not {url.drivername}: see CLOSINGBELL_DATABASE_URL")
    return url.set(drivername="postgresql+psycopg2")


_FINISHED = {_BOOL, _TIMESTAMPTZ, _TIMESTAMP, _TEXT_ARRAY, _BIGINT_ARRAY}


def _as_text(oid: int) -> str:
    if oid == _BOOL:
        return "{}::int"
    if oid in (_TIMESTAMPTZ, _TIMESTAMP):
        return "(extract(epoch FROM {}) * 1000000)::bigint"
    if oid in (_TEXT_ARRAY, _BIGINT_ARRAY):
        return "to_json({})"
    return "{}"


def _finish(column: str, oid: int) -> pl.Expr:
    if oid == _BOOL:
        return pl.col(column).cast(pl.Boolean)
    if oid in (_TIMESTAMPTZ, _TIMESTAMP):
        return pl.col(column).cast(pl.Datetime("us", "UTC"))
    return pl.col(column).str.json_decode(pl.List(pl.String) if oid == _TEXT_ARRAY else pl.List(pl.Int64))
