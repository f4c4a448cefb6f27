"""A deployment on the simulated market as tests see it: its loads run in this process, its tables are read whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, TextClause, text

from closingbell import connections
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.sandbox.faults import rates
from closingbell.sandbox.server import Sandbox, running
from closingbell.settings import settings
from closingbell.warehouse import db

PIPELINES = ("universe", "sec_financials", "prices", "indicators", "valuation_ratios", "scores")


@dataclasses.dataclass
class Deployment:
    """A warehouse, a landing zone, and the sandbox that the connections point at."""

    engine: Engine
    landing: Landing
    box: Sandbox
    first: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # the tables, where a test will compare them

    def run(self, name: str, run_id: str, session: date, **params: Any) -> dict[str, dict[str, int]]:
        run = Run(
            dag_id=name, run_id=run_id, partition_key=session.isoformat(), engine=self.engine, landing=self.landing,
            params=params,
        )  # fmt: skip
        return base.run_load(LOADS[name], run)

    def rows(self, table: str) -> list[str]:
        """Every row without lineage, as text, in order."""
        statement = f"SELECT (to_jsonb(t) - 'landing_id' - 'fetched_at')::text FROM closingbell.{table} t ORDER BY 1"
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement)).scalars())

    def frame(self, table: str) -> pl.DataFrame:
        """Every row, without lineage, read by no query of the house."""
        return self._frame(text(f"SELECT * FROM closingbell.{table}"))

    def of_session(self, table: str, session: date) -> pl.DataFrame:
        """Every row of one session, without lineage."""
        return self._frame(text(f"SELECT * FROM closingbell.{table} WHERE session = :session"), session=session)

    def inputs(self, session: date) -> dict[int, dict[str, list[Any]]]:
        """What score_inputs holds of a session, by security."""
        statement = text("SELECT security_id, inputs FROM closingbell.score_inputs WHERE session = :session")
        with self.engine.connect() as connection:
            return dict(connection.execute(statement, {"session": session}).tuples().all())

    def _frame(self, statement: TextClause, **values: Any) -> pl.DataFrame:
        with self.engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(statement, values).mappings()]
        return pl.DataFrame(rows, infer_schema_length=None).drop("landing_id", "fetched_at")


def deployed(
    market: Any, url: str, folder: Any, *, warmup: int, tickers: Sequence[str] = (), faults: str = ""
) -> Iterator[Deployment]:
    """On a migrated database, with `warmup` sessions of bars, working on `tickers` alone where some are given."""
    box = Sandbox(market, mode="simulated", seed=7, faults=rates(faults) if faults else None)
    with pytest.MonkeyPatch.context() as environment, running(box) as address:
        for name, value in connections.environment(address).items():
            environment.setenv(name, value)
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        environment.setenv("CLOSINGBELL_WARMUP_SESSIONS", str(warmup))
        environment.setenv("CLOSINGBELL_TICKERS", ",".join(tickers))
        settings.cache_clear()
        engine = db.engine(url)
        yield Deployment(engine, Landing(str(folder), engine), box)
    settings.cache_clear()
