"""Housekeeping of the warehouse: abandoned stages are dropped, what is past its retention is deleted.

Ledger rows, the newest landing of every question (vendor, endpoint, key), and those that published rows came from are
never deleted: promises 2 and 3 rest on them. Airflow's own tables are Airflow's to clean.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

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
) -> dict[str, int]:
    """Apply the retention settings; how many of each were dropped: stages, plans, audits and so on.

    living: which runs (dag_id, run_id) have not ended; they may wait for a vendor's quota, and their stages stay.
    """
    keep = limits or settings()
    counts = {"stages": drop_abandoned(engine, keep.retain_stages_hours, living)}
    with engine.begin() as connection, db.cursor_of(connection) as cursor:
        for name, limit in (
            ("planned_batches", {"hours": keep.retain_stages_hours}),
            ("audit_results", {"days": keep.retain_audits_days}),
            ("quarantine", {"days": keep.retain_audits_days}),
            ("revisions", {"days": keep.retain_revisions_days}),
        ):
            db.run(cursor, f"retain_{name}", {}, **limit)
            counts[name] = cursor.rowcount
    counts["landings"] = drop_landings(engine, landing, keep.retain_landings_days)
    log.info("housekeeping: %s", counts)
    return counts


def drop_abandoned(engine: Engine, hours: int, living: Living) -> int:
    """Mark unpublished stages older than `hours`, of runs that have ended, abandoned and drop their tables.

    Tables of no stage go too. How many.
    """
    with engine.connect() as connection:
        found = connection.execute(db.statement("retain_stages"), {"hours": hours}).all()
    waiting = set(living({(row.dag_id, row.run_id) for row in found}))
    old = {row.stage_id: row.opened_at for row in found if (row.dag_id, row.run_id) not in waiting}
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
    with engine.begin() as connection, db.cursor_of(connection) as cursor:
        stray = list(connection.execute(db.statement("retain_stray_tables")).scalars())
        for name in stray:
            db.run(cursor, "stage_drop", {"stage": sql.Identifier("staging", name)})
    return len(old) + len(stray)


def drop_landings(engine: Engine, landing: Landing, days: int) -> int:
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
        paths = sorted({path for _, path in dropped})
        named = connection.execute(text("SELECT path FROM ops.landings WHERE path = ANY(:paths)"), {"paths": paths})
        for path in sorted(set(paths) - set(named.scalars())):
            landing.drop(path)
    return len(dropped)
