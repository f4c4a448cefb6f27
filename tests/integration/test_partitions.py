"""No two runs write one partition of a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from closingbell.orchestration import partitions
from closingbell.pipelines.base import Run


def running(runs):
    return runs


def ended(runs):
    return ()


@pytest.fixture
def run(database, landing) -> Run:
    return Run(
        dag_id="market_close", run_id="scheduled__1", partition_key="2025-12-05", engine=database, landing=landing
    )


def test_a_second_run_waits_while_the_first_has_not_ended(run):
    partitions.claim(run, ["stock_prices"], running)
    partitions.claim(run, ["stock_prices"], running)  # its own next task
    backfill = replace(run, run_id="backfill__1")
    with pytest.raises(partitions.PartitionBusy, match="stock_prices 2025-12-05 is written by market_close sched"):
        partitions.claim(backfill, ["stock_prices"], running)


def test_a_run_that_ended_holds_nothing(run):
    partitions.claim(run, ["corporate_actions", "stock_prices"], running)
    partitions.claim(replace(run, run_id="again"), ["stock_prices"], ended)
    with pytest.raises(partitions.PartitionBusy, match="again"):
        partitions.claim(run, ["stock_prices"], running)


def test_a_task_asks_airflow_of_each_run_and_one_it_does_not_know_has_ended(monkeypatch):
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def state(dag_id, run_id):
        if run_id == "gone":
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR))
        return run_id

    monkeypatch.setattr(RuntimeTaskInstance, "get_dagrun_state", staticmethod(state))
    runs = [("market_close", name) for name in ("queued", "running", "success", "failed", "gone")]
    assert partitions.active_in_airflow(runs) == runs[:2]


def test_the_past_holders_of_a_whole_table_are_asked_for_at_once(run):
    for day in range(1, 6):
        partitions.claim(replace(run, run_id=f"r{day}", partition_key=f"2025-12-0{day}"), ["stock_prices"], running)
    asked = []

    def active(runs):
        asked.append(sorted(run_id for _, run_id in runs))
        return [("market_close", "r4")]

    replay = replace(run, dag_id="replay_prices", run_id="cli__1", partition_key="2025-12-06")
    with (
        pytest.raises(partitions.PartitionBusy, match="stock_prices 2025-12-04 is written by market_close r4"),
        partitions.claimed_by_command(replay, ["stock_prices"], active, keys=[partitions.WHOLE]),
    ):
        pass
    assert asked == [["r1", "r2", "r3", "r4", "r5"]]


def test_other_partitions_and_tables_are_free(run):
    partitions.claim(run, ["stock_prices"], running)
    partitions.claim(replace(run, run_id="2", partition_key="2025-12-04"), ["stock_prices"], running)
    partitions.claim(replace(run, run_id="3"), ["ic_scores"], running)


def test_a_run_of_many_sessions_claims_all_of_them_or_none(run):
    partitions.claim(replace(run, partition_key="2025-12-04"), ["stock_prices"], running)
    days = ["2025-12-03", "2025-12-04", "2025-12-05"]
    many = replace(run, run_id="range", partition_key=f"{days[0]}..{days[-1]}", params={"sessions": days})
    with pytest.raises(partitions.PartitionBusy, match="stock_prices 2025-12-04"):
        partitions.claim(many, ["stock_prices"], running)
    partitions.claim(replace(run, run_id="other", partition_key="2025-12-03"), ["stock_prices"], running)
    partitions.claim(many, ["stock_prices"], ended)
    for day in days:
        with pytest.raises(partitions.PartitionBusy, match="range"):
            partitions.claim(replace(run, run_id="late", partition_key=day), ["stock_prices"], running)


def test_a_command_holds_its_partition_while_it_runs(run):
    command = replace(run, dag_id="prices", run_id="cli__1")
    with partitions.claimed_by_command(command, ["stock_prices"]):
        with pytest.raises(partitions.PartitionBusy, match="prices cli__1"):
            partitions.claim(run, ["stock_prices"], ended)
        other = partitions.claimed_by_command(replace(command, run_id="cli__2"), ["stock_prices"])
        with pytest.raises(partitions.PartitionBusy, match="prices cli__1"), other:
            pass
    partitions.claim(run, ["stock_prices"], ended)


def test_a_command_that_died_holds_nothing(run):
    command = replace(run, dag_id="prices", run_id="cli__1")
    partitions.claim(command, ["stock_prices"], by_command=True)  # its lock went with its connection
    partitions.claim(run, ["stock_prices"], running)


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
    with partitions.claimed_by_command(command, ["stock_prices"], ended):
        pass


def test_a_table_without_sessions_is_one_partition(run):
    """A command counts days in UTC, Airflow in New York: what they write is the same."""
    partitions.claim(replace(run, dag_id="sec_financials"), ["financials"], running)
    command = replace(run, dag_id="sec_financials", run_id="cli__1", partition_key="2025-12-06")
    with pytest.raises(partitions.PartitionBusy, match="sec_financials scheduled__1"):
        partitions.claim(command, ["financials"], running)


def test_whole_tables_are_claimed_against_every_session_and_the_other_way_round(run):
    replay = replace(run, dag_id="replay_prices", run_id="cli__1", partition_key="2025-12-06")
    with partitions.claimed_by_command(replay, ["stock_prices"], keys=[partitions.WHOLE]):
        with pytest.raises(partitions.PartitionBusy, match="replay_prices cli__1"):
            partitions.claim(run, ["stock_prices"], running)
        partitions.claim(run, ["ic_scores"], running)
    partitions.claim(run, ["stock_prices"], running)
    with (
        pytest.raises(partitions.PartitionBusy, match="stock_prices 2025-12-05 is written by market_close"),
        partitions.claimed_by_command(replay, ["stock_prices"], running, keys=[partitions.WHOLE]),
    ):
        pass


def test_a_command_of_a_range_claims_each_of_its_sessions(run):
    week = replace(run, dag_id="prices", run_id="cli__1", params={"first": "2025-12-01", "last": "2025-12-05"})
    partitions.claim(week, ["stock_prices"], running)
    with pytest.raises(partitions.PartitionBusy, match="stock_prices 2025-12-01 is written by prices cli__1"):
        partitions.claim(replace(run, partition_key="2025-12-01"), ["stock_prices"], running)
