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


def test_a_run_of_many_sessions_claims_all_of_them_or_none(run):
    partitions.claim(replace(run, partition_key="2025-12-04"), ["stock_prices"], lambda *_: "running")
    days = ["2025-12-03", "2025-12-04", "2025-12-05"]
    many = replace(run, run_id="range", partition_key=f"{days[0]}..{days[-1]}", params={"sessions": days})
    with pytest.raises(partitions.PartitionBusy, match="stock_prices 2025-12-04"):
        partitions.claim(many, ["stock_prices"], lambda *_: "running")
    partitions.claim(replace(run, run_id="other", partition_key="2025-12-03"), ["stock_prices"], lambda *_: "running")
    partitions.claim(many, ["stock_prices"], lambda *_: "success")
    for day in days:
        with pytest.raises(partitions.PartitionBusy, match="range"):
            partitions.claim(replace(run, run_id="late", partition_key=day), ["stock_prices"], lambda *_: "running")


def test_a_command_holds_its_partition_while_it_runs(run):
    command = replace(run, dag_id="prices", run_id="cli__1")
    gone = lambda *_: "gone"  # noqa: E731  (Airflow knows no command)
    with partitions.claimed_by_command(command, ["stock_prices"]):
        with pytest.raises(partitions.PartitionBusy, match="prices cli__1"):
            partitions.claim(run, ["stock_prices"], gone)
        other = partitions.claimed_by_command(replace(command, run_id="cli__2"), ["stock_prices"])
        with pytest.raises(partitions.PartitionBusy, match="prices cli__1"), other:
            pass
    partitions.claim(run, ["stock_prices"], gone)


def test_a_command_that_died_holds_nothing(run):
    command = replace(run, dag_id="prices", run_id="cli__1")
    partitions.claim(command, ["stock_prices"], by_command=True)  # its lock went with its connection
    partitions.claim(run, ["stock_prices"], lambda *_: "running")


def test_a_command_waits_for_a_run_with_an_unpublished_stage(run):
    from closingbell.warehouse import load

    partitions.claim(run, ["stock_prices"])
    key = {"dag_id": run.dag_id, "run_id": run.run_id, "partition_key": run.partition_key}
    load.open_stage(run.engine, table="stock_prices", **key)
    command = replace(run, dag_id="prices", run_id="cli__1")
    with (
        pytest.raises(partitions.PartitionBusy, match="market_close scheduled__1"),
        partitions.claimed_by_command(command, ["stock_prices"]),
    ):
        pass
    with partitions.claimed_by_command(command, ["stock_prices"], lambda *_: "failed"):
        pass
