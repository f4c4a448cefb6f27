"""Housekeeping of the warehouse: abandoned stages are dropped, what is past its retention is deleted.

Ledger rows, the newest landing of every question (vendor, endpoint, key), and those that published rows came from are
never deleted: promises 2 and 3 rest on them. Airflow's own tables are Airflow's to clean.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from psycopg2 import sql
from sqlalchemy import Engine, text

from closingbell.landing import LOCK, Landing
from closingbell.settings import Settings, settings
from closingbell.warehouse import db
from closingbell.warehouse.stage import drop_table, lock_stage, stage_row
from closingbell.warehouse.tables import SCHEMA, TABLES, shape

log = logging.getLogger(__name__)

Living = Callable[[Collection[tuple[str, str]]], Collection[tuple[str, str]]]


def housekeep(
    engine: Engine,
    landing: Landing,
    limits: Settings | None = None,
    *,
    living: Living = lambda runs: (),
    dry_run: bool = False,
) -> dict[str, int]:
    """Apply the retention settings; how many of each were dropped: stages, plans, audits and so on.

    living: which runs (dag_id, run_id) have not ended; they may wait for a vendor's quota, and their stages stay.
    dry_run: nothing goes; how many of each would.
    """
    keep = limits or settings()
    old = _old_stages(engine, keep.retain_stages_hours, living)
    counts = {"stages": len(old) + len(_stray_tables(engine))}
    if not dry_run:
        drop_abandoned(engine, old)
    with engine.begin() as connection, db.cursor_of(connection) as cursor:
        if dry_run:  # as it would be
            abandoned = text("UPDATE ops.stages SET status = 'abandoned' WHERE stage_id = ANY(:ids)")
            connection.execute(abandoned, {"ids": list(old)})
        for name, limit in (
            ("planned_batches", {"hours": keep.retain_stages_hours}),
            ("audit_results", {"days": keep.retain_audits_days}),
            ("quarantine", {"days": keep.retain_audits_days}),
            ("run_failures", {"days": keep.retain_audits_days}),
            ("revisions", {"days": keep.retain_revisions_days}),
        ):
            db.run(cursor, f"retain_{name}", {}, **limit)
            counts[name] = cursor.rowcount
        if dry_run:
            connection.rollback()
    counts["landings"] = drop_landings(engine, landing, keep.retain_landings_days, dry_run=dry_run)
    log.info("housekeeping%s: %s", ", dry run" if dry_run else "", counts)
    return counts


def drop_abandoned(engine: Engine, old: Mapping[str, datetime]) -> None:
    """Mark stages ({stage_id: opened_at}) abandoned and drop their tables, and the tables of no stage."""
    for stage_id, opened_at in old.items():
        with engine.begin() as connection, db.cursor_of(connection) as cursor:
            lock_stage(connection, stage_id)  # waits for an audit or publish that is at work after all
            row = stage_row(connection, stage_id)
            if row.status == "published" or row.opened_at != opened_at:
                continue  # finished, or opened again since
            drop_table(cursor, shape(connection, row.table_name).fragments(stage_id))
            connection.execute(text("DELETE FROM ops.stage_batches WHERE stage_id = :id"), {"id": stage_id})
            connection.execute(
                text("UPDATE ops.stages SET status = 'abandoned' WHERE stage_id = :id"), {"id": stage_id}
            )
    for name in _stray_tables(engine):
        with engine.begin() as connection, db.cursor_of(connection) as cursor:
            db.run(cursor, "stage_drop", {"stage": sql.Identifier("staging", name)})


def _old_stages(engine: Engine, hours: int, living: Living) -> dict[str, datetime]:
    """Unpublished stages older than `hours`, of runs that have ended."""
    with engine.connect() as connection:
        found = connection.execute(db.statement("retain_stages"), {"hours": hours}).all()
    waiting = set(living({(row.dag_id, row.run_id) for row in found}))
    return {row.stage_id: row.opened_at for row in found if (row.dag_id, row.run_id) not in waiting}


def _stray_tables(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(db.statement("retain_stray_tables")).scalars())


def drop_landings(engine: Engine, landing: Landing, days: int, *, dry_run: bool = False) -> int:
    """Delete landings fetched more than `days` ago, and files nobody names; how many landings.

    The newest of each question stays, and so does each that a published row came from.
    """
    cited = sql.SQL(" UNION ").join(
        sql.SQL("SELECT landing_id FROM {} WHERE landing_id IS NOT NULL").format(sql.Identifier(SCHEMA, name))
        for name in TABLES
    )
    with engine.begin() as connection, db.cursor_of(connection) as cursor:
        # alone: an answer of the same bytes landing now would rely on a file that goes
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        db.run(cursor, "retain_landings", {"cited": cited}, days=days)
        dropped = cursor.fetchall()
        if dry_run:
            connection.rollback()
            return len(dropped)
        paths = sorted({path for _, path in dropped})
        named = connection.execute(text("SELECT path FROM ops.landings WHERE path = ANY(:paths)"), {"paths": paths})
        for path in sorted(set(paths) - set(named.scalars())):
            landing.drop(path)
    return len(dropped)
