"""The one load path, as steps that Airflow tasks, pods and the command call alike: land, open, stage, audit, publish.

A pipeline declares `Load`s (what to ask, how to land, how raw answers become frames); everything else is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import Engine

from closingbell.landing import Landing
from closingbell.warehouse import load as warehouse

Batch = dict[str, Any]
"""JSON: `key` names the batch in the UI; the rest is the load's own (ciks, sessions); landed ones add landing_ids."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a pipeline: where it writes, what it was asked, who it is."""

    dag_id: str
    run_id: str
    partition_key: str
    engine: Engine
    landing: Landing
    session: date | None = None
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Load:
    """Tables that are staged from the same landed answers, in the order they are published.

    plan: the batches of a run (small; each lands and stages by itself). land: fetch and land one batch, return it
    with `landing_ids`. frames: (table, frame) pairs of a landed batch, pure but for reads of the warehouse as known.
    expected: what the completeness audit counts against, by table, given the plan.
    """

    name: str
    tables: tuple[str, ...]
    plan: Callable[[Run], list[Batch]]
    land: Callable[[Run, Batch], Batch]
    frames: Callable[[Run, Batch], Iterator[tuple[str, pl.DataFrame]]]
    expected: Callable[[Run, Sequence[Batch]], dict[str, dict[str, Any]]] = lambda run, batches: {}


def open_stages(load: Load, run: Run, batches: Sequence[Batch]) -> dict[str, str]:
    """Open one stage a table; returns {table: stage_id}. Opening again returns the same stages."""
    expected = load.expected(run, batches)
    return {
        table: warehouse.open_stage(
            run.engine,
            dag_id=run.dag_id,
            run_id=run.run_id,
            table=table,
            partition_key=run.partition_key,
            expected=expected.get(table, {}),
        )
        for table in load.tables
    }
