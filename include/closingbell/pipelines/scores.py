"""Warehouse as known at each close -> ic_scores and score_inputs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import polars as pl
from sqlalchemy import Engine

from closingbell.pipelines.base import Batch, Load, Run
from closingbell.scores import compute
from closingbell.scores.factors import COMPARED_DAYS, MAX_AGE_DAYS, Source
from closingbell.sessions import close_of
from closingbell.warehouse import db

log = logging.getLogger(__name__)

MIN_SHARE = 0.9  # of the shares that traded: one listed this week has no indicator and no statement yet
SESSIONS_PER_BATCH = 5  # 4,600 stocks x 33 metrics x 5 sessions: 0.8 million rows at once


def plan_sessions(run: Run) -> list[Batch]:
    """The run's sessions, a few to a batch.

    Raises ValueError naming those without bars; a dry run has published none.
    """
    sessions = run.sessions
    stored = db.query(run.engine, "bars_by_session", first=sessions[0], last=sessions[-1])["session"].to_list()
    if (absent := sorted(set(sessions) - set(stored))) and not run.params.get("dry_run"):
        named = ", ".join(map(str, absent[:5])) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
        raise ValueError(f"no prices of {named}: run market_close (`closingbell prices`) for that first")
    return _batches(sessions, SESSIONS_PER_BATCH)


def nothing_to_land(run: Run, batch: Batch) -> Batch:
    """A derived batch: everything it needs is in the warehouse."""
    return batch


def replay_sessions(table: str) -> Any:
    """Batches of every session that `table` has rows of."""

    def replay(run: Run) -> list[Batch]:
        return _batches(db.query(run.engine, f"sessions_of_{table}")["session"].to_list(), SESSIONS_PER_BATCH)

    return replay


def frames(run: Run, batch: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """ic_scores and score_inputs of the batch's sessions."""
    closes = {session: close_of(session) for session in map(date.fromisoformat, batch["sessions"])}
    first, last = map(date.fromisoformat, batch.get("window") or (min(batch["sessions"]), max(batch["sessions"])))
    universe, metrics = known(run.engine, closes, _versions(run.engine, run.run_id, first, last))
    scores, inputs = compute.scores(universe, metrics, closes)
    without = compute.unscored(universe, scores)
    log.info("scores: %d of %d securities scored, %d have no data", scores.height, universe.height, without.height)
    # percentiles are among all peers; only what is published is narrowed
    yield "ic_scores", only_asked_for(run, scores)
    yield "score_inputs", only_asked_for(run, inputs)


def known(
    engine: Engine, closes: Mapping[date, datetime], versions: Mapping[str, pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The universe (compute.UNIVERSE) and metrics (compute.METRIC_ROWS) of these sessions, as of each close.

    versions: `versions_of` a window that they are in.
    """
    sessions = sorted(closes)
    window = {"first": sessions[0], "last": sessions[-1]}
    oldest = {source: sessions[0] - timedelta(days=days) for source, days in MAX_AGE_DAYS.items()}
    until = sessions[-1]
    universe = db.query(engine, "score_universe", **window).filter(pl.col("session").is_in(sessions))
    metrics = compute.metrics_from(
        universe,
        valuations=db.query(engine, "score_valuations", **window),
        indicators=db.query(engine, "score_indicators", **window),
        consensus=db.query(engine, "score_consensus", oldest=oldest[Source.CONSENSUS], last=until),
        insiders=db.query(engine, "score_insiders", oldest=oldest[Source.INSIDERS], last=until),
        ownership=db.query(engine, "score_ownership", oldest=sessions[0] - timedelta(days=COMPARED_DAYS), **window),
        sentiment=db.query(engine, "score_sentiment", oldest=oldest[Source.SENTIMENT], last=until),
        closes=closes,
        **versions,
    )
    return universe, metrics


def versions_of(engine: Engine, first: date, last: date) -> dict[str, pl.DataFrame]:
    """Statements in every version, and splits, that the closes of `first` to `last` can see: `metrics_from`'s."""
    closes = {"first_close": close_of(first), "last_close": close_of(last)}
    return {
        "financials": db.query(engine, "score_financials", first=first, **closes),
        "splits": db.query(engine, "price_splits", last=last),
        "splits_known": db.query(engine, "splits_known_from"),
    }


@lru_cache(maxsize=1)
def _versions(engine: Engine, run_id: str, first: date, last: date) -> dict[str, pl.DataFrame]:
    """Read once for all batches of a run in this process; sessions are stepped in memory."""
    return versions_of(engine, first, last)


def expect_sessions(*tables: str) -> Any:
    """Of every session of the plan the shares that traded on it, in each of `tables`.

    Nothing where the run is narrowed to some securities.
    """

    def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
        if securities_asked_for(run) is not None:
            return {}
        sessions = [day for batch in batches for day in batch["sessions"]]
        wanted = {"sessions": sessions, "traded_on": sessions, "min_share": MIN_SHARE}
        return dict.fromkeys(tables, wanted)

    return expected


def only_asked_for(run: Run, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame narrowed to the securities that the run's Params name, whole where they name none."""
    securities = securities_asked_for(run)
    return frame if securities is None else frame.filter(pl.col("security_id").is_in(securities))


def securities_asked_for(run: Run) -> list[int] | None:
    """Securities of the Params tickers, sector, sp500, limit; None where all are asked for.

    Raises ValueError naming the tickers that the session does not know.
    """
    if not any(run.params.get(name) for name in ("tickers", "sector", "sp500", "limit")):
        return None
    tickers = run.params.get("tickers") or None
    found = db.query(
        run.engine,
        "securities_asked_for",
        session=run.sessions[-1],
        tickers=tickers,
        sector=run.params.get("sector") or None,
        sp500=bool(run.params.get("sp500")),
        limit=int(run.params.get("limit") or 2**31),
    )
    if tickers and (unknown := sorted(set(tickers) - set(found["ticker"]))):
        raise ValueError(f"{unknown}: no security bears these tickers on {run.sessions[-1]}; run universe first")
    return found["security_id"].unique().sort().to_list()


def of_members(run: Run) -> str:
    """What must be said of the S&P 500 on the run's first session, empty where its list was read by then.

    Lists are of today, so that before the first one only its survivors are known. Raises ValueError where nobody is.
    """
    session = run.sessions[0]
    members, read_on = db.query(run.engine, "members_known", session=session).row(0)
    if read_on is None:
        raise ValueError("no list of the S&P 500 is loaded: run universe first")
    if not members:
        raise ValueError(
            f"no member of the S&P 500 is known on {session}: the list was first read on {read_on} and names no "
            "earlier day; take a later session, or --all"
        )
    if session >= read_on:
        return ""
    return (
        f"S&P 500 on {session}: the {members} of them that were members still on {read_on}, when its list was first "
        "read; who left before is not known (survivors only)"
    )


LOAD = Load(
    name="scores",
    tables=("score_inputs", "ic_scores"),  # a session that has scores has their evidence
    plan=plan_sessions,
    land=nothing_to_land,
    frames=frames,
    replay=replay_sessions("ic_scores"),
    expected=expect_sessions("ic_scores", "score_inputs"),
)


def _batches(sessions: Sequence[date], size: int) -> list[Batch]:
    parts = [sessions[start : start + size] for start in range(0, len(sessions), size)]
    return [
        {
            "key": f"{part[0]}" if len(part) == 1 else f"{part[0]}..{part[-1]}",
            "sessions": [day.isoformat() for day in part],
            "window": [sessions[0].isoformat(), sessions[-1].isoformat()],  # of all batches
        }
        for part in parts
    ]
