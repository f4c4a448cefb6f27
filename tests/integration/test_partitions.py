"""No two runs write one partition of a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from closingbell.orchestration import partitions
from closingbell.pipelines.base import Run


@pytest.fixture
def run(database, landing) -> Run:
    return Run(
        dag_id="market_close", run_id="scheduled__1", partition_key="2025-12-05", engine=database, landing=landing
    )


def test_a_second_run_waits_while_the_first_has_not_ended(run):
    partitions.claim(run, ["stock_prices"], lambda *_: "running")
    partitions.claim(run, ["stock_prices"], lambda *_: "running")  # its own next task
    backfill = replace(run, run_id="backfill__1")
    for state in partitions.ACTIVE:
        with pytest.raises(partitions.PartitionBusy, match="stock_prices 2025-12-05 is written by market_close sched"):
            partitions.claim(backfill, ["stock_prices"], lambda *_, state=state: state)


def test_a_run_that_ended_or_is_gone_holds_nothing(run):
    partitions.claim(run, ["corporate_actions", "stock_prices"], lambda *_: "running")
    for number, state in enumerate(("failed", "success", "gone")):
        partitions.claim(replace(run, run_id=f"again {number}"), ["stock_prices"], lambda *_, state=state: state)
    with pytest.raises(partitions.PartitionBusy, match="again 2"):
        partitions.claim(run, ["stock_prices"], lambda *_: "running")


def test_other_partitions_and_tables_are_free(run):
    partitions.claim(run, ["stock_prices"], lambda *_: "running")
    partitions.claim(replace(run, run_id="2", partition_key="2025-12-04"), ["stock_prices"], lambda *_: "running")
    partitions.claim(replace(run, run_id="3"), ["ic_scores"], lambda *_: "running")
