"""An operator's audited corrections (ops.overrides): they survive replay and are ended, never deleted.

Subjects by kind: exclude_security {security_id}; reject_bar {security_id, session}; map_ticker {ticker, security_id,
valid_from}; map_cusip {cusip, security_id, valid_from}. The first two act in audit and publish: staged rows go to
quarantine under the rule override:<kind>, published ones are withdrawn into ops.revisions. map_ticker acts in the view
closingbell.borne_tickers, which all that reads tickers reads; map_cusip is for the steps that map CUSIPs (`active`).
"""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Literal

import polars as pl
from sqlalchemy import Engine, text

from closingbell.warehouse import db

Kind = Literal["exclude_security", "map_ticker", "map_cusip", "reject_bar"]
SUBJECTS: dict[str, dict[str, type]] = {
    "exclude_security": {"security_id": int},
    "reject_bar": {"security_id": int, "session": date},
    "map_ticker": {"ticker": str, "security_id": int, "valid_from": date},
    "map_cusip": {"cusip": str, "security_id": int, "valid_from": date},
}


def add(engine: Engine, kind: Kind, subject: dict[str, Any], *, reason: str, author: str) -> int:
    """Record a correction; its override_id. Dates are dates or ISO strings. Acts from the next publish on."""
    if not reason.strip() or not author.strip():
        raise ValueError(f"override {kind}: a reason and an author are needed, for whoever finds it in a year")
    with engine.begin() as connection:
        return connection.execute(
            db.statement("override_add"),
            {"kind": kind, "subject": json.dumps(_checked(kind, subject)), "reason": reason, "author": author},
        ).scalar_one()


def end(engine: Engine, override_id: int, *, author: str) -> None:
    """End a correction; rows it kept out return with the next replay of their table."""
    with engine.begin() as connection:
        ended = connection.execute(
            text(
                "UPDATE ops.overrides SET ended_at = clock_timestamp(), ended_by = :author "
                "WHERE override_id = :id AND ended_at IS NULL"
            ),
            {"id": override_id, "author": author},
        )
        if ended.rowcount != 1:
            raise LookupError(f"override {override_id} is not active; see ops.overrides")


def active(engine: Engine, kind: Kind | None = None) -> pl.DataFrame:
    """Corrections in force: override_id, kind, ticker, cusip, security_id, session, valid_from, reason, author."""
    return db.query(engine, "override_active", kind=kind)


def _checked(kind: str, subject: dict[str, Any]) -> dict[str, Any]:
    if (wanted := SUBJECTS.get(kind)) is None:
        raise ValueError(f"override kind {kind!r} is unknown; there are {sorted(SUBJECTS)}")
    if set(subject) != set(wanted):
        raise ValueError(f"override {kind}: the subject needs {sorted(wanted)}, not {sorted(subject)}")
    checked: dict[str, Any] = {}
    for name, kind_of in wanted.items():
        value = subject[name]
        try:
            if kind_of is date:
                checked[name] = value.isoformat() if isinstance(value, date) else date.fromisoformat(value).isoformat()
            else:
                checked[name] = kind_of(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"override {kind}: {name}={value!r} is no {kind_of.__name__}") from error
    return checked
