"""Publishing: one audited stage into its table, in one transaction under one lock a table.

In: staging.<table>_<stage_id> after its audit. Out: new and changed rows in closingbell.<table>, the rows they replaced
in ops.revisions, one row of ops.load_ledger. Equal rows are never touched: an identical rerun writes nothing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from closingbell.warehouse import db
from closingbell.warehouse.stage import StageError, StageLost, drop_table, lock_stage, refuse_older, stage_row
from closingbell.warehouse.tables import Shape, shape

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A row of ops.load_ledger. rows_in = inserted + updated + unchanged + older + duplicate + quarantined.

    rows_older: staged rows that a later landing's row in the table did not yield to. rows_deleted: rows withdrawn by an
    override, no longer given by replayed landings or a company's newest facts, or no longer computed for whole
    sessions. content_sha256 covers key and content of the published stage, whatever the order and the batches, and not
    the lineage.
    """

    ledger_id: int
    stage_id: str
    dataset: str
    partition_key: str
    content_sha256: str
    parser_version: str
    rows_in: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    rows_unchanged: int
    rows_older: int
    rows_duplicate: int
    rows_quarantined: int
    dag_id: str
    run_id: str
    loaded_at: datetime

    @property
    def rows_changed(self) -> int:
        """Rows of the table that are not what they were."""
        return self.rows_inserted + self.rows_updated + self.rows_deleted

    def counts(self) -> dict[str, int]:
        """The ledger's counts, for logs and XCom."""
        names = (field.name for field in fields(self) if field.name.startswith("rows_"))
        return {name.removeprefix("rows_"): getattr(self, name) for name in names}


def publish(
    engine: Engine, stage_id: str, *, remove_unstaged_of: Sequence[int] = (), retold: bool = False
) -> Publication:
    """Publish an audited stage; a published one returns its ledger row again.

    A row yields only to a later landing (fetched_at, landing_id), or to the same one parsed anew; derived rows yield
    always, and those of the sessions that the stage was opened with (a replay: all of a table without sessions) are
    removed where it does not give them.
    `remove_unstaged_of` (replay): rows of these landings are removed where the stage does not give them.
    `retold` (of a table by cik): rows that a company's earlier facts gave and the staged ones do not are removed.
    Raises StageError where the audit has not passed, StageLost where staged rows are gone since.
    """
    with engine.connect() as connection:
        with connection.begin():
            table = stage_row(connection, stage_id).table_name
            # READ COMMITTED: each statement after the lock sees what the one before us published
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"publish {table}"}
            )
            lock_stage(connection, stage_id)
            row = stage_row(connection, stage_id)
            if row.status == "published":
                return _ledger_row(connection, stage_id)
            if row.status != "audited":
                raise StageError(f"{table}: the stage of run {row.run_id} is {row.status}: run audit first")
            refuse_older(connection, row, shape(connection, table))
            if published := _publish(connection, stage_id, shape(connection, table), remove_unstaged_of, retold):
                return published
        with connection.begin():
            lock_stage(connection, stage_id)
            lost = forget_lost(connection, stage_id, shape(connection, table))
        raise StageLost(lost)


def forget_lost(connection: Connection, stage_id: str, table: Shape) -> str:
    """Forget batches whose rows are not what was recorded, so that they are staged again; the error, '' where none."""
    with db.cursor_of(connection) as cursor:
        fragments = table.fragments(stage_id)
        db.run(cursor, "audit_lost_batches", fragments, stage_id=stage_id)
        lost = cursor.fetchall()
        for batch_id, _, _ in lost:
            db.run(cursor, "stage_delete_batch", fragments, batch_id=batch_id)
    if not lost:
        return ""
    values = {"id": stage_id, "lost": [batch_id for batch_id, _, _ in lost]}
    connection.execute(text("DELETE FROM ops.stage_batches WHERE stage_id = :id AND batch_id = ANY(:lost)"), values)
    connection.execute(text("UPDATE ops.stages SET status = 'open' WHERE stage_id = :id"), values)
    shown = ", ".join(f"{batch} ({found} of {recorded} rows)" for batch, recorded, found in lost[:5])
    return (
        f"{table.spec.name}: {len(lost)} batches lost staged rows: {shown}; PostgreSQL probably crashed, which empties "
        "an unlogged table: re-run stage, then audit"
    )


def apply_overrides(cursor: Any, table: Shape, fragments: dict[str, Any]) -> int:
    """Flag the staged rows that an operator's override keeps out; how many."""
    flagged = 0
    for name in _overrides_of(table):
        db.run(cursor, f"audit_flag_{name}", fragments)
        flagged += cursor.rowcount
    return flagged


def settle_quarantine(cursor: Any, stage_id: str, table: Shape, fragments: dict[str, Any]) -> None:
    """Write the flagged rows to ops.quarantine, in place of what this stage had there, and count them by batch."""
    db.run(cursor, "audit_forget_quarantine", {}, stage_id=stage_id)
    db.run(cursor, "audit_count_batches", fragments, stage_id=stage_id)
    db.run(cursor, "audit_counts", {}, stage_id=stage_id)
    _, quarantined, _ = cursor.fetchone()
    if quarantined:
        db.run(cursor, "audit_quarantine", fragments, stage_id=stage_id, table=table.spec.name)


def _overrides_of(table: Shape) -> list[str]:
    return [
        *(["reject_bar"] if table.spec.name == "stock_prices" else []),
        *(["exclude_security"] if table.spec.excludable else []),
    ]


def _publish(
    connection: Connection, stage_id: str, table: Shape, remove_unstaged_of: Sequence[int], retold: bool
) -> Publication | None:
    # None where staged rows are gone; nothing is published then
    spec, values = table.spec, {"stage_id": stage_id, "table": table.spec.name}
    with db.cursor_of(connection) as cursor:
        fragments = table.fragments(stage_id)

        def run(name: str, **params: Any) -> int:
            db.run(cursor, name, fragments, **params)
            return cursor.rowcount

        if apply_overrides(cursor, table, fragments):  # those that were added since the audit
            settle_quarantine(cursor, stage_id, table, fragments)
        run("publish_landed")
        run("publish_lost", stage_id=stage_id)
        if cursor.fetchone()[0]:
            return None
        run("publish_content")
        kept, fingerprint = cursor.fetchone()
        run("publish_overtaken", **values)
        overtaken = [landing_id for (landing_id,) in cursor.fetchall()]
        run("publish_matched", derived=spec.derived, overtaken=overtaken)
        run("publish_withdrawn")
        for name in _overrides_of(table):
            run(f"publish_withdraw_{name}")
        if spec.derived:
            run("publish_withdraw_uncomputed" if "session" in spec.key else "publish_withdraw_whole", **values)
        if remove_unstaged_of:
            run("publish_withdraw_unstaged", landing_ids=list(remove_unstaged_of))
        cursor.execute("ANALYZE matched")
        if retold:
            run("publish_withdraw_retold", **values)
        run("publish_revisions", **values)
        deleted = run("publish_delete")
        updated = run("publish_update")
        run("publish_again", table=spec.name)
        (again,) = cursor.fetchone()
        run("publish_sort")
        inserted = run("publish_insert")
        run("publish_landings", **values, again=again)
        counts = connection.execute(db.statement("audit_counts"), {"stage_id": stage_id}).one()
        run("publish_older")
        (older,) = cursor.fetchone()
        connection.execute(
            db.statement("publish_ledger"),
            {
                "stage_id": stage_id,
                "content_sha256": hashlib.sha256(fingerprint.encode()).hexdigest(),
                "parser_version": spec.parser_version,
                "rows_in": counts.rows_in,
                "rows_inserted": inserted,
                "rows_updated": updated,
                "rows_deleted": deleted,
                "rows_unchanged": kept - inserted - updated - older,
                "rows_older": older,
                "rows_duplicate": counts.rows_duplicate,
                "rows_quarantined": counts.rows_quarantined,
            },
        )
        connection.execute(
            text("UPDATE ops.stages SET status = 'published', published_at = clock_timestamp() WHERE stage_id = :id"),
            {"id": stage_id},
        )
        drop_table(cursor, fragments)
    published = _ledger_row(connection, stage_id)
    log.info("%s %s: %s", spec.name, published.partition_key, published.counts())
    return published


def _ledger_row(connection: Connection, stage_id: str) -> Publication:
    row = connection.execute(db.statement("publication"), {"stage_id": stage_id}).one()
    return Publication(**row._mapping)
