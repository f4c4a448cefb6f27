"""Staging: typed frames into UNLOGGED staging.<table>_<stage_id>, one transaction a batch.

In: polars frames with the target's columns. Out: rows of the staging table and of ops.stage_batches, which survives a
crash that empties the table. A batch whose inputs are recorded is not staged again; a killed one leaves nothing.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import polars as pl
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import LargeStringEncoderBuilder
from pgpq.schema import Jsonb
from psycopg2 import sql
from sqlalchemy import Connection, Engine, Row, text

from closingbell.warehouse import db
from closingbell.warehouse.tables import LINEAGE, Shape, shape

Made = TypeVar("Made")

REFUSED = "refused"
_ROWS_AT_ONCE = 200_000  # in memory as they are sent: some 30 MB of bars

_ACCEPTED: dict[str, tuple[Any, ...]] = {
    "bigint": (pl.Int64(), pl.Int32, pl.Int16, pl.Int8, pl.UInt32, pl.UInt16, pl.UInt8),
    "integer": (pl.Int32(), pl.Int64, pl.Int16, pl.Int8, pl.UInt32, pl.UInt16, pl.UInt8),
    "double precision": (pl.Float64(), pl.Float32, pl.Int64, pl.Int32),
    "text": (pl.String(), pl.Categorical, pl.Enum),
    "boolean": (pl.Boolean(),),
    "date": (pl.Date(),),
    "timestamp with time zone": (pl.Datetime("us", "UTC"), pl.Datetime("ms", "UTC"), pl.Datetime("ns", "UTC")),
    "jsonb": (pl.String(),),
    "text[]": (pl.List(pl.String()),),
    "bigint[]": (pl.List(pl.Int64()),),
}
"""Types of a frame's column by the table's; the first is the one that is sent."""


class StageError(RuntimeError):
    """The load path was used out of order, or a stage lost its rows; the message says which step to run again."""


class StageLost(StageError):
    """Staged rows are gone (PostgreSQL crashed): the lost batches are forgotten, so re-running stage stages them."""


class FrameRefused(ValueError):
    """A frame does not fit its table; the message names table, batch and columns."""


def stage_id(dag_id: str, run_id: str, table: str, part: str = "") -> str:
    """The stage of one run and table (and part of the run), the same in every process: 16 hex digits."""
    named = [dag_id, run_id, table, *([part] if part else [])]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]


def open_stage(
    engine: Engine,
    *,
    dag_id: str,
    run_id: str,
    table: str,
    partition_key: str,
    part: str = "",
    expected: dict[str, Any] | None = None,
    plan: Sequence[dict[str, Any]] = (),
    asked: dict[str, Any] | None = None,
    go_on: bool | None = None,
) -> str:
    """Make the stage of one run and table; its id. `expected` is what the audit counts against (see audits/).

    Opening an open or audited stage changes nothing, so that a retry keeps what is staged. Opening a published,
    failed or abandoned one (a run that was cleared) starts it empty again. With `go_on` a stage that is there stays
    as it is; where that is false it starts empty, whatever it was.
    part: of a run that fills one table twice. plan: the batches, kept with the stage. asked: what the command was
    asked, for --resume.
    """
    id_ = stage_id(dag_id, run_id, table, part)
    values = {
        "stage_id": id_,
        "dag_id": dag_id,
        "run_id": run_id,
        "table": table,
        "part": part,
        "partition_key": partition_key,
        "expected": json.dumps(expected or {}),
        "asked": None if asked is None else json.dumps(asked),
    }
    with engine.begin() as connection, db.cursor_of(connection) as cursor:
        fragments = shape(connection, table).fragments(id_)
        lock_stage(connection, id_)
        row = connection.execute(db.statement("stage_row"), {"stage_id": id_}).one_or_none()
        if row is None:
            connection.execute(db.statement("stage_open"), values)
            _put_plan(connection, id_, plan)
        elif go_on and row.status == "published":
            return id_
        elif go_on is False or row.status not in ("open", "audited"):
            connection.execute(text("DELETE FROM ops.stage_batches WHERE stage_id = :id"), {"id": id_})
            connection.execute(text("DELETE FROM ops.audit_results WHERE stage_id = :id"), {"id": id_})
            connection.execute(db.statement("stage_reopen"), values)
            drop_table(cursor, fragments)
            _put_plan(connection, id_, plan)
        db.run(cursor, "stage_open_table", fragments)
        db.run(cursor, "stage_open_view", fragments)
    return id_


def planned(engine: Engine, stages: Sequence[str], key: str | None = None) -> list[tuple[dict[str, Any], Any]]:
    """(batch, the same landed or None) of a load that goes on; none where it starts anew (see planned_batches.sql).

    stages: of its tables, in their order. key: of one batch only.
    """
    rows = db.query(engine, "planned_batches", first=stages[0], stages=list(stages), key=key)
    return [(json.loads(batch), json.loads(landed) if landed else None) for batch, landed in rows.iter_rows()]


def batch_landed(engine: Engine, stage_id: str, landed: dict[str, Any]) -> None:
    """Keep a landed batch with the plan it belongs to."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE ops.planned_batches SET landed = CAST(:landed AS json) WHERE stage_id = :id AND key = :key"),
            {"id": stage_id, "key": landed["key"], "landed": json.dumps(landed)},
        )


def batch_done(engine: Engine, stage_id: str, batch_id: str, inputs_sha256: str) -> bool:
    """Whether exactly these inputs are staged already, so that neither parsing nor staging is needed."""
    with engine.connect() as connection:
        row = stage_row(connection, stage_id)
        return _recorded_rows(connection, row, batch_id, inputs_sha256) is not None


def stage_batch(
    engine: Engine,
    stage_id: str,
    batch_id: str,
    frame: pl.DataFrame | Iterable[pl.DataFrame],
    *,
    inputs_sha256: str,
    landing_ids: Sequence[int] = (),
) -> int:
    """Put one batch's rows into the stage, in place of what the batch had; the number of rows.

    `frame` has the target's columns; a derived table's may leave out landing_id and fetched_at. pl.List(pl.String)
    becomes text[]; jsonb columns are JSON in pl.String. Missing is null: NaN and infinities are refused. A batch that
    does not fit in memory comes as several frames, one after the other, in the same transaction. One column more is
    understood: `refused`, why the audit must quarantine a row ('rule: what, and what to do'), null for the others.
    Raises FrameRefused, or StageError where the stage is not open.
    """
    parts = [frame] if isinstance(frame, pl.DataFrame) else frame
    with engine.begin() as connection:
        row = stage_row(connection, stage_id)
        table = shape(connection, row.table_name)
        lock_stage(connection, stage_id, shared=True)
        connection.execute(_LOCK, {"name": f"batch {stage_id} {batch_id}"})
        row = stage_row(connection, stage_id)  # again, now that nobody audits or publishes
        if (recorded := _recorded_rows(connection, row, batch_id, inputs_sha256)) is not None:
            return recorded
        if row.status == "published":
            raise StageError(f"{row.table_name}: the stage of run {row.run_id} is published; clear the run")
        refuse_abandoned(row)
        refuse_older(connection, row, table)
        if row.status != "open":
            connection.execute(text("UPDATE ops.stages SET status = 'open' WHERE stage_id = :id"), {"id": stage_id})
        with db.cursor_of(connection) as cursor:
            fragments = table.fragments(stage_id)
            db.run(cursor, "stage_drop_index", fragments)  # an audit's
            if _staged_before(connection, stage_id, batch_id):
                db.run(cursor, "stage_delete_batch", fragments, batch_id=batch_id)
            rows = 0
            written = (_written(_checked(part, table, batch_id), table, batch_id) for part in parts)
            for columns, height, data in ahead(itertools.chain.from_iterable(written)):
                _copy(cursor, fragments, columns, data)
                rows += height
        connection.execute(
            db.statement("stage_batch_done"),
            {
                "stage_id": stage_id,
                "batch_id": batch_id,
                "rows": rows,
                "inputs_sha256": inputs_sha256,
                "landing_ids": sorted(set(landing_ids)),
            },
        )
    return rows


def ahead(given: Iterable[Made]) -> Iterator[Made]:
    """What is given, the next made while one is used: our parsing and PostgreSQL's COPY each have a core."""
    with ThreadPoolExecutor(1) as maker:
        rest = iter(given)
        coming = maker.submit(next, rest, None)
        while (made := coming.result()) is not None:
            coming = maker.submit(next, rest, None)
            yield made


def stage_row(connection: Connection, stage_id: str) -> Row[Any]:
    """The row of ops.stages; raises StageError where nobody opened it."""
    row = connection.execute(db.statement("stage_row"), {"stage_id": stage_id}).one_or_none()
    if row is None:
        raise StageError(f"stage {stage_id} was never opened; run the open task of its run first")
    return row


def refuse_abandoned(row: Row[Any]) -> None:
    """Raise StageError where housekeeping has dropped what was staged."""
    if row.status == "abandoned":
        raise StageError(
            f"{row.table_name}: the stage of run {row.run_id} was abandoned by housekeeping, its rows are dropped; "
            "clear `open` with what follows it"
        )


def refuse_older(connection: Connection, row: Row[Any], table: Shape) -> None:
    """Raise StageError where the staging table was made before an upgrade that added columns."""
    name = {"schema": "staging", "table": f"{row.table_name}_{row.stage_id}"}
    found = {column.name for column in connection.execute(db.statement("table_columns"), name)}
    if found and (missing := sorted({*table.names, "batch_id", "rule", REFUSED} - found)):
        raise StageError(
            f"{row.table_name}: the stage of run {row.run_id} was made by an older version and lacks {missing}; "
            "clear `open` with what follows it"
        )


def lock_stage(connection: Connection, stage_id: str, *, shared: bool = False) -> None:
    """Until the transaction ends: batches share the stage, audit and publish have it alone."""
    connection.execute(_LOCK_SHARED if shared else _LOCK, {"name": f"stage {stage_id}"})


def drop_table(cursor: Any, fragments: dict[str, Any]) -> None:
    """Drop the staging table and its view."""
    db.run(cursor, "stage_drop", fragments)


def _put_plan(connection: Connection, stage_id: str, plan: Sequence[dict[str, Any]]) -> None:
    connection.execute(text("DELETE FROM ops.planned_batches WHERE stage_id = :id"), {"id": stage_id})
    batches = {batch["key"]: json.dumps(batch) for batch in plan}
    values = {"stage_id": stage_id, "keys": list(batches), "batches": list(batches.values())}
    connection.execute(db.statement("plan_put"), values)


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_LOCK_SHARED = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:name, 0))")


def _recorded_rows(connection: Connection, stage: Row[Any], batch_id: str, inputs_sha256: str) -> int | None:
    rows = connection.scalar(
        text(
            "SELECT rows FROM ops.stage_batches WHERE stage_id = :id AND batch_id = :batch AND inputs_sha256 = :inputs"
        ),
        {"id": stage.stage_id, "batch": batch_id, "inputs": inputs_sha256},
    )
    if not rows or stage.status == "published":
        return rows
    # a crash of PostgreSQL empties the table as a whole and keeps the record
    with db.cursor_of(connection) as cursor:
        db.run(cursor, "stage_has_rows", shape(connection, stage.table_name).fragments(stage.stage_id))
        return rows if cursor.fetchone()[0] else None


def _staged_before(connection: Connection, stage_id: str, batch_id: str) -> bool:
    # the record is written in the transaction that copies, so no record means no rows, and no scan for them
    found = connection.scalar(
        text("SELECT 1 FROM ops.stage_batches WHERE stage_id = :id AND batch_id = :batch"),
        {"id": stage_id, "batch": batch_id},
    )
    return found is not None


def _checked(frame: pl.DataFrame, table: Shape, batch_id: str) -> pl.DataFrame:
    where = f"{table.spec.name}, batch {batch_id}"
    wanted = [name for name in table.names if name not in LINEAGE or not table.spec.derived or name in frame.columns]
    missing = sorted(set(wanted) - set(frame.columns))
    unknown = sorted(set(frame.columns) - {*wanted, REFUSED})
    if missing or unknown:
        raise FrameRefused(f"{where}: the frame lacks columns {missing} and has unknown columns {unknown}")
    wrong = [
        f"{name} is {frame.schema[name]}, the table's is {table.column(name).type}"
        for name in wanted
        if frame.schema[name] != pl.Null and frame.schema[name] not in _ACCEPTED[table.column(name).type]
    ]
    if wrong:
        raise FrameRefused(f"{where}: {'; '.join(wrong)}")
    floats = [name for name in wanted if frame.schema[name].is_float()]
    finite = frame.select(pl.col(floats).is_finite().all()).row(0) if floats and frame.height else ()
    if bad := [name for name, good in zip(floats, finite, strict=False) if not good]:
        raise FrameRefused(f"{where}: NaN or infinity in {bad}; what is missing is null")
    sent = {name: _ACCEPTED[table.column(name).type][0] for name in wanted} | {REFUSED: pl.String()}
    try:
        return frame.select(pl.col(name).cast(dtype) for name, dtype in sent.items() if name in frame.columns)
    except pl.exceptions.InvalidOperationError as error:
        raise FrameRefused(f"{where}: {error}") from error


def _written(frame: pl.DataFrame, table: Shape, batch_id: str) -> Iterator[tuple[list[str], int, bytes]]:
    """Columns, number of rows and binary COPY data of each part of a frame."""
    json_columns = {column.name for column in table.columns if column.type == "jsonb"}
    for start in range(0, frame.height, _ROWS_AT_ONCE):
        part = frame.slice(start, _ROWS_AT_ONCE).with_columns(pl.lit(batch_id).alias("batch_id"))
        rows = part.to_arrow()
        encoders = {
            field.name: LargeStringEncoderBuilder.new_with_output(field, Jsonb())
            if field.name in json_columns
            else ArrowToPostgresBinaryEncoder.infer_encoder(field)
            for field in rows.schema
        }
        encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(rows.schema, encoders)
        batches = (encoder.write_batch(batch) for batch in rows.to_batches())
        yield part.columns, part.height, b"".join([encoder.write_header(), *batches, encoder.finish()])


def _copy(cursor: Any, fragments: dict[str, Any], columns: list[str], data: bytes) -> None:
    named = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    copy = sql.SQL("COPY {stage} ({columns}) FROM STDIN (FORMAT binary)").format(
        stage=fragments["stage"], columns=named
    )
    cursor.copy_expert(copy, io.BytesIO(data))
