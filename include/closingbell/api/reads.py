"""The API's way to the warehouse: sql/queries on a pool of asyncpg connections that can only read.

asyncpg, because Airflow brings it, and because it keeps statements prepared: a repeated one is not planned again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any, Generic, TypeVar

import asyncpg
from sqlalchemy import URL

from closingbell.warehouse import db
from closingbell.warehouse.tables import TABLES

CONNECTIONS = 8  # of a process; statements take milliseconds, and PostgreSQL has cores to share
WAIT_SECONDS = 3.0  # for a free connection
STATEMENT_SECONDS = 5.0
PLANNED_ANEW = {"api_board", "api_board_rows"}
"""Planned for the session asked for: a plan for any session takes five times as long where their sizes differ."""

_AWAY = (
    OSError,  # TimeoutError is one
    db.NoWarehouse,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shut down, or a statement that took too long
    asyncpg.InsufficientResourcesError,  # too many connections
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,  # no such database, yet or any more
)

Found = TypeVar("Found")


# of a URL's options; asyncpg would tell the server of others, such as connect_timeout, which it does not know
_UNDERSTOOD = {
    "host", "port", "options", "passfile", "sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert",
    "target_session_attrs",
}  # fmt: skip


class Unavailable(RuntimeError):
    """The warehouse cannot be asked now."""


class Shared(Generic[Found]):
    """Does one thing once for all who ask while it is done: they get the same result, or the same error."""

    def __init__(self, do: Callable[[], Coroutine[Any, Any, Found]]) -> None:
        self._do = do
        self._doing: asyncio.Task[Found] | None = None

    def __call__(self) -> Awaitable[Found]:
        """What it gives; the next call after its end does it again."""
        if self._doing is None or self._doing.done():
            self._doing = asyncio.create_task(self._do())
        return asyncio.shield(self._doing)  # who asked first may leave first


class Reads:
    """The warehouse's queries. The pool is made by the first one: a mounted application is told of no start."""

    def __init__(self, url: Callable[[], URL] = db.warehouse_url) -> None:
        self._url = url
        self._pool: asyncpg.Pool | None = None
        self._made = Shared(self._make)

    async def rows(self, name: str, /, **params: Any) -> list[dict[str, Any]]:
        """The rows of sql/queries/<name>.sql; jsonb as what it says. Raises Unavailable."""
        statement, order = _compiled(name)
        try:
            pool = self._pool or await self._made()
            async with pool.acquire(timeout=WAIT_SECONDS) as connection:
                values = [params[param] for param in order]
                if name in PLANNED_ANEW:
                    found = await (await connection.prepare(statement)).fetch(*values)
                else:
                    found = await connection.fetch(statement, *values)
        except _AWAY as error:
            raise Unavailable(f"{name}: {error or type(error).__name__}") from error
        except asyncpg.InterfaceError as error:
            if isinstance(error, ValueError):  # a parameter of another type: our mistake
                raise
            raise Unavailable(f"{name}: {error}") from error
        return [dict(row) for row in found]

    async def row(self, name: str, /, **params: Any) -> dict[str, Any] | None:
        """The first row, or None."""
        found = await self.rows(name, **params)
        return found[0] if found else None

    async def close(self) -> None:
        """End the connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def _make(self) -> asyncpg.Pool:
        url = await asyncio.to_thread(self._url)  # inside Airflow this asks for a connection
        self._pool = await asyncpg.create_pool(
            address(url),
            min_size=1,
            max_size=CONNECTIONS,
            timeout=WAIT_SECONDS,
            command_timeout=STATEMENT_SECONDS + 1,
            init=_reader,
            reset=_nothing_to_reset,
            server_settings={
                "application_name": "closingbell-api",
                "timezone": "UTC",
                "default_transaction_read_only": "on",
                "statement_timeout": f"{STATEMENT_SECONDS:.0f}s",
            },
        )
        return self._pool


async def published_ago(reads: Reads) -> dict[str, float | None]:
    """Seconds since each table was published last; None for one that never was. Raises Unavailable."""
    published = {row["dataset"]: row["seconds"] for row in await reads.rows("published_ago")}
    return {name: published.get(name) for name in sorted(TABLES | published)}


def address(url: URL) -> str:
    """A SQLAlchemy URL as asyncpg takes it."""
    return db.libpq_url(url.set(query={name: value for name, value in url.query.items() if name in _UNDERSTOOD}))


async def _reader(connection: asyncpg.Connection) -> None:
    """Take the reader's role where this login has it (see sql/migrations/0006_roles.sql)."""
    if await connection.fetchval(_compiled("api_may_read")[0]):
        await connection.execute("SET ROLE closingbell_reader")
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def _nothing_to_reset(connection: Any) -> None:
    """Statements leave nothing behind, so the round trip that asyncpg spends on it is saved."""


@lru_cache(maxsize=64)
def _compiled(name: str) -> tuple[str, tuple[str, ...]]:
    from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

    compiled = db.statement(name).compile(dialect=PGDialect_asyncpg())
    return str(compiled), tuple(compiled.positiontup or ())
