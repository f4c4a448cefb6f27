"""The one load path, as steps that Airflow tasks, pods and the command call alike: land, open, stage, audit, publish.

A pipeline declares `Load`s (what to ask, how to land, how raw answers become frames); everything else is here. Only
ids, keys and counts pass between the steps, so each can run in another process, and each can run again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from time import sleep
from typing import Any, TypeVar

import polars as pl
from sqlalchemy import Engine

from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import NotFound, ServerError, VendorError
from closingbell.landing import DryLanding, Landed, Landing
from closingbell.sessions import close_of, sessions_between
from closingbell.settings import settings
from closingbell.warehouse import db, failures
from closingbell.warehouse import load as warehouse
from closingbell.warehouse.quota import QuotaExhausted
from closingbell.warehouse.tables import TABLES

log = logging.getLogger(__name__)
T = TypeVar("T")

AGAIN_AFTER, AGAIN_WITHIN = 60.0, 600.0
"""Seconds until keys that the vendor failed at are asked for once more: at least, and at most whatever it asks for."""

LINEAGE: dict[str, Any] = {"landing_id": pl.Int64, "fetched_at": pl.Datetime("us", "UTC")}
"""Columns that say which answer a row comes from."""

Batch = dict[str, Any]
"""JSON: `key` names the batch in the UI; the rest is the load's own (ciks, sessions); landed ones add landing_ids."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a pipeline: where it writes, what it was asked, who it is.

    `partition_key` is the session (ISO date) of a run that has one, else a name of the window it covers.
    """

    dag_id: str
    run_id: str
    partition_key: str
    engine: Engine
    landing: Landing
    params: dict[str, Any] = field(default_factory=dict)
    by_command: bool = False  # of the closingbell command: what it was asked is kept for --resume
    unread: list[int] = field(default_factory=list)  # landings that did not parse, in this process

    @property
    def session(self) -> date:
        """The partition key as a session; raises ValueError where the run has none."""
        return date.fromisoformat(self.partition_key)

    @property
    def sessions(self) -> list[date]:
        """The sessions asked for, in order: the Param `sessions`, the range `first` to `last`, or the run's own."""
        if listed := self.params.get("sessions"):
            return sorted(date.fromisoformat(day) for day in listed)
        first, last = self.params.get("first"), self.params.get("last")
        if first or last:
            return sessions_between(*(date.fromisoformat(str(day)) for day in (first or last, last or first)))
        close_of(self.session)  # a date that is none is refused
        return [self.session]


@dataclass(frozen=True, kw_only=True)
class Load:
    """Tables that are staged from the same landed answers, in the order they are published.

    Each is published by itself, so what later runs take for done stands in the last one: of a run that ended in between
    the next one does everything again.

    plan: the batches of a run (small; each lands and stages by itself). land: fetch and land one batch, return it
    with `landing_ids`. frames: one (table, frame) pair for each table of a landed batch, a stream of frames where they
    do not fit in memory; reads only landed answers and the warehouse. expected: what the completeness audit counts
    against, by table, given the plan.
    replay: landed batches that rebuild the tables from the landing zone, or from the warehouse where derived.
    part: names the stages of a load that fills a table which another load of the same run fills as well.
    whole: every run reads all the answers there are, so rows that they give no longer are removed, as by a replay.
    retold: whether the run stages all that its companies' facts tell, so that what earlier ones told more is removed.
    """

    name: str
    tables: tuple[str, ...]
    plan: Callable[[Run], list[Batch]]
    land: Callable[[Run, Batch], Batch]
    frames: Callable[[Run, Batch], Iterator[tuple[str, pl.DataFrame | Iterator[pl.DataFrame]]]]
    replay: Callable[[Run], list[Batch]]
    expected: Callable[[Run, Sequence[Batch]], dict[str, dict[str, Any]]] = lambda run, batches: {}
    whole: bool = False
    retold: Callable[[Run], bool] = lambda run: False
    part: str = ""


def open_run(
    dag_id: str, run_id: str, partition_key: str, params: dict[str, Any] | None = None, *, by_command: bool = False
) -> Run:
    """A run on the configured warehouse and landing zone."""
    engine = db.engine()
    landing = (DryLanding if (params or {}).get("dry_run") else Landing)(settings().landing, engine)
    return Run(
        dag_id=dag_id,
        run_id=run_id,
        partition_key=partition_key,
        engine=engine,
        landing=landing,
        params=params or {},
        by_command=by_command,
    )


def plan(load: Load, run: Run) -> list[Batch]:
    """The batches of this run, keys unique; those of its first plan where that waits to be finished."""
    if kept := _planned(load, run):
        log.info("%s: goes on with the %d batches of its plan", load.name, len(kept))
        return [batch for batch, _ in kept]
    batches = load.plan(run)
    keys = [batch["key"] for batch in batches]
    if len(set(keys)) != len(keys):
        raise ValueError(f"{load.name}: two batches of one run share a key: {sorted(keys)}")
    log.info("%s: %d batches", load.name, len(batches))
    return batches


def open_stages(load: Load, run: Run, batches: Sequence[Batch]) -> dict[str, str]:
    """Open one stage a table; returns {table: stage_id}.

    A load that waits to be finished keeps its stages as they are; any other begins with empty ones.
    """
    go_on = bool(_planned(load, run))
    expected = {} if go_on else load.expected(run, batches)
    keys = [batch["key"] for batch in batches]
    return {
        table: warehouse.open_stage(
            run.engine,
            dag_id=run.dag_id,
            run_id=run.run_id,
            table=table,
            part=load.part,
            partition_key=run.partition_key,
            expected=expected.get(table, {}) | {"batches": keys},
            plan=batches if table == load.tables[0] else (),
            asked=run.params if run.by_command else None,
            go_on=go_on,
        )
        for table in load.tables
    }


def land(load: Load, run: Run, batch: Batch) -> Batch:
    """Fetch and land one batch; the batch with its landing ids. One that this run has landed is not asked again."""
    if (kept := _planned(load, run, batch["key"])) and (landed := kept[0][1]) is not None:
        log.info("%s: batch %s is landed already", load.name, batch["key"])
        return landed
    landed = load.land(run, batch)
    if landed.get("landing_ids"):
        warehouse.batch_landed(run.engine, stage_ids(load, run)[load.tables[0]], landed)
    return landed


def stage(load: Load, run: Run, landed: Batch) -> dict[str, int]:
    """Parse one landed batch and stage it, {table: rows}. A batch whose inputs are staged already returns at once."""
    ids = stage_ids(load, run)
    inputs = {table: _inputs_sha256(run, landed, parser_version=TABLES[table].parser_version) for table in load.tables}
    if all(warehouse.batch_done(run.engine, ids[table], landed["key"], inputs[table]) for table in load.tables):
        log.info("%s: batch %s is staged already", load.name, landed["key"])
        return {}
    rows: dict[str, int] = {}
    for table, frame in load.frames(run, landed):
        rows[table] = warehouse.stage_batch(
            run.engine,
            ids[table],
            landed["key"],
            frame,
            inputs_sha256=inputs[table],
            landing_ids=landed.get("landing_ids", ()),
        )
    if missing := set(load.tables) - set(rows):
        raise ValueError(f"{load.name}: batch {landed['key']} staged nothing for {sorted(missing)}")
    log.info("%s: batch %s staged %s", load.name, landed["key"], rows)
    return rows


def audit(load: Load, run: Run) -> dict[str, Any]:
    """Audit each table's stage, {table: counts}; raises AuditFailed."""
    return {table: warehouse.audit(run.engine, id_).counts() for table, id_ in stage_ids(load, run).items()}


def publish(load: Load, run: Run, *, remove_unstaged_of: Sequence[int] = ()) -> dict[str, Any]:
    """Publish each table in order, {table: counts}. A retry returns what was published before."""
    counts, retold = {}, load.retold(run)
    for table, stage_id in stage_ids(load, run).items():
        if load.whole:
            remove_unstaged_of = db.query(run.engine, "landings_of_stage", stage_id=stage_id)["landing_id"].to_list()
        published = warehouse.publish(run.engine, stage_id, remove_unstaged_of=remove_unstaged_of, retold=retold)
        counts[table] = published.counts()
        log.info("%s: published %s", table, counts[table])
    return counts


def run_load(load: Load, run: Run, *, progress: bool = False) -> dict[str, Any]:
    """The whole path in one process: what the command and a pod run. Returns {table: counts}."""
    batches = plan(load, run)
    if run.params.get("dry_run"):
        return {}
    open_stages(load, run, batches)
    for batch in _shown(load, batches, progress):
        stage(load, run, land(load, run, batch))
    audit(load, run)
    return publish(load, run)


def replay(load: Load, run: Run, *, progress: bool = False) -> dict[str, Any]:
    """Rebuild the load's tables from the landing zone; rows that its answers no longer give are removed."""
    batches = load.replay(run)
    open_stages(replace(load, expected=_computed_anew(load)), run, batches)
    for batch in _shown(load, batches, progress):
        stage(load, run, batch)
    audit(load, run)
    # an answer that does not parse says nothing about the rows that it or an earlier one gave
    read = {id_ for batch in batches for id_ in batch.get("landing_ids", ())} - set(run.unread)
    # rows keep the landing that gave them first, which is not the last one, which was read
    given = db.query(run.engine, "landings_of_same_question", ids=sorted(read))["landing_id"].to_list()
    return publish(load, run, remove_unstaged_of=sorted(set(given) - set(run.unread)))


def land_each(
    run: Run,
    endpoint: str,
    vendor: str,
    keys: Iterable[str],
    fetch: Callable[[str], Answer],
    *,
    resolve: bool = True,
) -> dict[str, int]:
    """Land one answer a key, {key: landing_id}. A key that fails is recorded and tried by the next run.

    resolve: a key that failed before and came now has come well; without it only once `parse_each` could read it.

    Where the vendor failed at some keys only (5xx, a timeout), they are asked for once more at the end, after what it
    asked to wait. What concerns every key (quota, throttling, a refused login) is raised at once; so is a batch without
    one answer, for the task to try again.
    """
    landed: dict[str, int] = {}
    failed: dict[str, VendorError] = {}
    unknown = 0
    keys = list(keys)
    failed_before = set(failures.pending(run.engine, vendor, endpoint))

    def ask(key: str) -> None:
        nonlocal unknown
        failed.pop(key, None)
        try:
            landed[key] = run.landing.put(fetch(key))
            if resolve and key in failed_before:
                failures.resolve(run.engine, vendor, endpoint, key)
        except QuotaExhausted:
            raise
        except VendorError as error:
            if error.concerns_all:
                raise
            if isinstance(error, NotFound):
                unknown += 1  # the vendor has nothing under this key: no failure, and asked again when it is due again
                return
            failed[key] = error
            log.warning("%s", error)

    try:
        for number, key in enumerate(keys, 1):
            ask(key)
            if number % 25 == 0 or number == len(keys):
                counts = (number, len(keys), len(failed), unknown)
                log.info("%s %s: %d of %d asked, %d failed, %d not there", vendor, endpoint, *counts)
        broken = {key: error.retry_after or 0 for key, error in failed.items() if isinstance(error, ServerError)}
        if landed and broken:
            seconds = min(max(AGAIN_AFTER, *broken.values()), AGAIN_WITHIN)
            log.info("%s %s: %d keys are asked for again in %.0f s", vendor, endpoint, len(broken), seconds)
            sleep(seconds)
            for key in broken:
                ask(key)
    finally:
        for key, error in failed.items():
            failures.record(run.engine, vendor, endpoint, key, str(error), run.dag_id, run.run_id)
    if failed and not landed:
        message = f"none of {len(keys)} answers came; see ops.fetch_failures"
        wait = max(error.retry_after or 0 for error in failed.values())
        raise VendorError(vendor, endpoint, next(iter(failed)), None, message, retry_after=wait or None)
    return landed


def parse_each(run: Run, landed: Iterable[Landed], parse: Callable[[Landed], T]) -> Iterator[tuple[Landed, T]]:
    """Parse answers one by one; one that is not of its shape is recorded, the others go on."""
    for answer in landed:
        try:
            parsed = parse(answer)
        except ValueError as error:
            log.warning("%s %s %s: %s", answer.vendor, answer.endpoint, answer.key, error)
            run.unread.append(answer.landing_id)
            failures.record(run.engine, answer.vendor, answer.endpoint, answer.key, str(error), run.dag_id, run.run_id)
            continue
        failures.resolve(run.engine, answer.vendor, answer.endpoint, answer.key)
        yield answer, parsed


def chunks(items: Sequence[Any], size: int) -> list[list[Any]]:
    """`items` in lists of at most `size`."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def stage_ids(load: Load, run: Run) -> dict[str, str]:
    """{table: stage_id} of the load's tables, in order."""
    return {table: warehouse.stage_id(run.dag_id, run.run_id, table, load.part) for table in load.tables}


def with_lineage(frame: pl.DataFrame, answer: Landed) -> pl.DataFrame:
    """The frame with the answer it came from in every row."""
    return frame.with_columns(
        pl.lit(value, dtype=dtype).alias(name)
        for (name, dtype), value in zip(LINEAGE.items(), (answer.landing_id, answer.fetched_at), strict=True)
    )


def _computed_anew(load: Load) -> Callable[[Run, Sequence[Batch]], dict[str, dict[str, Any]]]:
    """What a replay expects: of derived tables the sessions, or all there is; rows that are no longer computed go."""

    def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
        sessions = [day for batch in batches for day in batch.get("sessions", ())]
        derived = [TABLES[table] for table in load.tables if TABLES[table].derived]
        by_session = {spec.name: {"sessions": sessions} for spec in derived if sessions and "session" in spec.key}
        return by_session | {spec.name: {"whole": True} for spec in derived if "session" not in spec.key}

    return expected


def _planned(load: Load, run: Run, key: str | None = None) -> list[tuple[Batch, Batch | None]]:
    if all(TABLES[table].derived for table in load.tables):
        return []  # what they are computed from may have been corrected since: computed again
    return warehouse.planned(run.engine, list(stage_ids(load, run).values()), key)


def _inputs_sha256(run: Run, landed: Batch, *, parser_version: str) -> str:
    # fetch order is no input, what was fetched is; derived batches have no answers and are computed again
    ids = landed.get("landing_ids")
    answers = "".join(run.landing.sha256(ids)) if ids else run.run_id
    return hashlib.sha256(f"{answers} {json.dumps(landed, sort_keys=True)} {parser_version}".encode()).hexdigest()


def _shown(load: Load, batches: Sequence[Batch], progress: bool) -> Iterable[Batch]:
    if not progress:
        return batches
    from tqdm import tqdm

    return tqdm(batches, desc=load.name, unit="batch")
