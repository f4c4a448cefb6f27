"""Steps that the load path's tests share: frames of bars, one whole load, what a table holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text

from closingbell.pipelines import base
from closingbell.warehouse import load
from closingbell.warehouse.tables import shape


class Stopped(BaseException):
    """Stands for a kill: no handler of the pipelines takes it."""


@contextmanager
def killed_before_publishing(table: str) -> Iterator[None]:
    """The block ends, as by a kill, where a load is about to publish the table."""
    publish = load.publish

    def stop(engine: Engine, stage_id: str, **options: Any) -> load.Publication:
        ((name,),) = rows(engine, "SELECT table_name FROM ops.stages WHERE stage_id = :id", id=stage_id)
        if name == table:
            raise Stopped
        return publish(engine, stage_id, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "publish", stop)
        with pytest.raises(Stopped):
            yield


@contextmanager
def published_after(load_: base.Load, run: base.Run) -> Iterator[None]:
    """The load is staged before the block and published after it: other runs go on meanwhile."""
    batches = base.plan(load_, run)
    base.open_stages(load_, run, batches)
    for batch in batches:
        base.stage(load_, run, base.land(load_, run, batch))
    yield
    base.audit(load_, run)
    base.publish(load_, run)


SESSION = date(2025, 12, 5)
BEFORE = datetime(2025, 11, 3, 23, tzinfo=UTC)  # companies file again between it and SESSION
FETCHED = datetime(2025, 12, 5, 23, tzinfo=UTC)

BAR = {
    "security_id": pl.Int64, "session": pl.Date, "open": pl.Float64, "high": pl.Float64, "low": pl.Float64,
    "close": pl.Float64, "volume": pl.Float64, "vwap": pl.Float64, "trades": pl.Int64, "source": pl.String,
    "final": pl.Boolean, "adjusted_as_of": pl.Date, "landing_id": pl.Int64, "fetched_at": pl.Datetime("us", "UTC"),
}  # fmt: skip


def bars(closes: Sequence[tuple[int, float]], *, landing_id: int = 1, session: date = SESSION) -> pl.DataFrame:
    """Bars (security_id, close) of one landing, fetched landing_id minutes after 23:00 UTC."""
    return pl.DataFrame(
        [
            {
                "security_id": security_id, "session": session, "open": close, "high": close, "low": close,
                "close": close, "volume": 1000.0, "source": "polygon", "final": False, "landing_id": landing_id,
                "fetched_at": FETCHED + timedelta(minutes=landing_id),
            }
            for security_id, close in closes
        ],
        schema=BAR,
    )  # fmt: skip


def staged(
    engine: Engine,
    run_id: str,
    batches: dict[str, pl.DataFrame],
    *,
    table: str = "stock_prices",
    expected: dict[str, Any] | None = None,
) -> str:
    """A stage with these batches; their landing ids are those of the rows."""
    stage_id = load.open_stage(
        engine, dag_id="market_close", run_id=run_id, table=table, partition_key="2025-12-05", expected=expected
    )
    for batch_id, given in batches.items():
        frame = filled(engine, table, given)
        ids = frame["landing_id"].drop_nulls().unique().to_list() if "landing_id" in frame.columns else []
        inputs = f"{run_id} {batch_id} {frame.hash_rows().sum()}"
        load.stage_batch(engine, stage_id, batch_id, frame, inputs_sha256=inputs, landing_ids=ids)
    return stage_id


def loaded(engine: Engine, run_id: str, *frames: pl.DataFrame, table: str = "stock_prices") -> load.Publication:
    """Stage, audit and publish the frames, one batch each."""
    stage_id = staged(engine, run_id, {f"b{number}": frame for number, frame in enumerate(frames)}, table=table)
    load.audit(engine, stage_id)
    return load.publish(engine, stage_id)


def filled(engine: Engine, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the columns of the table that it leaves out: false where a boolean must be given, else null."""
    with engine.connect() as connection:
        columns = shape(connection, table).columns
    absent = [column for column in columns if column.name not in (*frame.columns, "landing_id", "fetched_at")]
    return frame.with_columns(
        pl.lit(False if column.required and column.type == "boolean" else None).alias(column.name) for column in absent
    )


def rows(engine: Engine, statement: str, **params: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement), params)]


def closes(engine: Engine) -> dict[int, float]:
    """{security_id: close} of the published bars."""
    return dict(rows(engine, "SELECT security_id, close FROM closingbell.stock_prices"))  # type: ignore[arg-type]


def staging_tables(engine: Engine) -> list[str]:
    """Names in schema staging."""
    return [
        name for (name,) in rows(engine, "SELECT relname FROM pg_class WHERE relnamespace = 'staging'::regnamespace")
    ]
