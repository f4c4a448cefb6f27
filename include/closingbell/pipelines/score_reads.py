"""What the command and the pages ask of published scores: why one changed, and how much they stand on."""

from __future__ import annotations

import json
from datetime import date

from sqlalchemy import Engine

from closingbell.pipelines.reconcile import stale
from closingbell.scores import changes, coverage
from closingbell.sessions import close_of
from closingbell.warehouse import db


class NoScore(LookupError):
    """There is nothing to explain; the message says why."""


def changed(engine: Engine, ticker: str, session: date) -> changes.Changed:
    """Why the score of the security that bore `ticker` is another than the one before; raises NoScore."""
    rows = db.query(engine, "score_and_before", ticker=ticker, session=session).to_dicts()
    if not rows or rows[0]["session"] != session:
        raise NoScore(f"{ticker} has no score for {session}")
    if len(rows) == 1:
        raise NoScore(f"{ticker} has no score before {session}")
    after, before = rows
    inputs = [json.loads(row["inputs"]) for row in (before, after)]
    scores = {"score_before": before["overall_score"], "score_after": after["overall_score"]}
    try:
        parts = changes.changes(*inputs, **scores)
    except ValueError as error:  # one of them was made by other declarations
        raise NoScore(f"{before['session']} and {session} do not compare: {error}; score both again") from None
    new = db.query(
        engine,
        "score_evidence_new",
        security_id=after["security_id"],
        session=session,
        before=before["session"],
    )
    return changes.Changed(
        ticker=ticker,
        name=after["name"],
        session=session,
        before=before["session"],
        score=after["overall_score"],
        score_before=before["overall_score"],
        rating=after["rating"],
        rating_before=before["rating"],
        parts=parts,
        evidence={metric: of.to_dicts() for (metric,), of in new.group_by("metric", maintain_order=True)},
        stale=stale(engine, session, session).get(session, ()),
    )


def covered(engine: Engine, session: date) -> list[coverage.Line]:
    """How much of the session's universe each table and factor has, as known at its close; raises NoScore."""
    closes_at = close_of(session)
    universe = db.query(engine, "score_universe", first=session, last=session)
    if universe.is_empty():
        raise NoScore(f"no share has a bar on {session}; run market_close for it")
    members = db.query(
        engine, "securities_asked_for", session=session, tickers=None, sector=None, sp500=True, limit=2**31
    )
    return coverage.lines(
        universe,
        members["security_id"],
        tables=db.query(engine, "coverage_tables", session=session, close=closes_at),
        inputs=db.query(engine, "coverage_inputs", session=session),
        depths=db.query(engine, "coverage_depths", session=session, close=closes_at).row(0, named=True),
        session=session,
    )
