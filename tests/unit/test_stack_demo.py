"""The demo's runs, on an Airflow that is only pretended: which DAGs it leaves to the scheduler."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from sqlalchemy import Engine, text

from closingbell import cli, demo, stack
from closingbell.sessions import calendar

LIVE = stack.Spec(mode="live", tickers="AAPL,COST")


class Airflow:
    """Remembers which DAGs run, and which of them are waited for, side by side or one after the other."""

    def __init__(self) -> None:
        self.parsed: set[str] = {*demo.DAGS, *demo.DAILY}
        self.unpaused: set[str] = set()
        self.awaited: list[set[str]] = []

    def unpause(self, dag_id: str) -> None:
        self.unpaused.add(dag_id)

    def dags(self) -> dict[str, dict[str, Any]]:
        return {dag_id: {"is_paused": dag_id not in self.unpaused | {demo.SCORES}} for dag_id in self.parsed}

    def runs(self, dag_id: str, **_: Any) -> list[dict[str, Any]]:
        return []


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    api = Airflow()
    monkeypatch.setattr(stack.State, "airflow", lambda _: api)
    monkeypatch.setattr(demo, "await_dags", lambda *_: None)
    monkeypatch.setattr(demo, "start", lambda *_: "run")
    monkeypatch.setattr(demo, "consumer", lambda *_: "run")
    monkeypatch.setattr(demo, "finish_all", lambda _, runs, __: api.awaited.append(set(runs)))
    monkeypatch.setattr(demo, "board", lambda *_: "board")
    return api


def run(spec: stack.Spec, said: list[str]) -> str:
    state = stack.State(spec=spec, id="0", server="", last_session="2025-12-05")
    return demo.demo(state, session="", tickers=[], say=said.append)


def test_a_stack_that_only_starts_says_what_it_does_with_session_and_tickers() -> None:
    started = stack.State(spec=stack.Spec(), id="0", server="", last_session="2025-12-05")
    assert demo.for_runs(started, session="") == ""
    assert "SESSION     2025-12-04: no run was started; `make demo`" in demo.for_runs(started, session="2025-12-04")
    with pytest.raises(demo.DemoFailed, match="vendors end with 2025-12-05"):
        demo.for_runs(started, session="2025-12-08")
    started.first_session = "2022-01-03"
    with pytest.raises(demo.DemoFailed, match="SESSION=2021-12-31: the simulated vendors begin with 2022-01-03"):
        demo.for_runs(started, session="2021-12-31")
    live = stack.State(spec=LIVE, id="0", server="")
    assert "TICKERS     AAPL,COST: the universe of every run" in demo.for_runs(live, session="")


@pytest.mark.parametrize(("command", "kept"), [("up", "AAPL,NVDA"), ("demo", "")])
def test_tickers_given_to_up_are_those_of_every_run_and_of_demo_those_of_its_own(command, kept, monkeypatch) -> None:
    started: list[stack.Spec] = []

    def up(wanted: stack.Spec, _: Any) -> None:
        started.append(wanted)
        raise stack.StackError("not here")

    monkeypatch.setattr(stack, "up", up)
    monkeypatch.setattr(sys, "argv", ["closingbell", command, "--tickers", "aapl, NVDA"])
    with pytest.raises(SystemExit):
        cli.main()
    assert [wanted.tickers for wanted in started] == [kept]


def only_started(spec: stack.Spec, database: Engine, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(stack.State, "warehouse_url", lambda _: database.url.render_as_string(hide_password=False))
    return demo.schedules(stack.State(spec=spec, id="0", server=""))


def test_a_stack_that_only_starts_says_what_is_paused(airflow: Airflow, database: Engine, monkeypatch) -> None:
    """Runs of an empty warehouse fail, and those of a market that stands still have nothing to do."""
    every = {*demo.DAGS, *demo.DAILY}
    for spec, parsed in ((LIVE, every), (stack.Spec(), every), (stack.Spec(), set())):
        airflow.parsed = parsed
        said = only_started(spec, database, monkeypatch)
        assert airflow.unpaused == set()
        assert said.startswith("Paused      universe, sec_financials, ")
        assert {name for name in every if re.search(rf"\b{name}\b", said)} == every - {demo.SCORES}
        assert "on its own until `make demo`" in said
        assert "closingbell airflow dags unpause --yes --treat-dag-id-as-regex ." in said


def test_a_live_stack_that_is_loaded_runs_every_dag_when_it_is_due(
    airflow: Airflow, database: Engine, monkeypatch
) -> None:
    with database.begin() as connection:
        put = "INSERT INTO closingbell.securities (security_id, name, type, fetched_at) VALUES (1, 'A', 'CS', now())"
        connection.execute(text(put))
    assert only_started(LIVE, database, monkeypatch) == "Schedules   every DAG runs when it is due\n"
    assert airflow.unpaused == {*demo.DAGS, *demo.DAILY}


@pytest.mark.parametrize("spec", [LIVE, stack.Spec()], ids=["live without a key", "simulated"])
def test_everything_runs_by_itself_after_the_demo(spec: stack.Spec, airflow: Airflow) -> None:
    assert run(spec, []) == "board"
    assert airflow.unpaused == {*demo.DAGS, "reconcile", "housekeeping"}


@pytest.mark.parametrize(
    ("spec", "beside"),
    [(LIVE, set()), (stack.Spec(), set(demo.NEIGHBOURS))],
    ids=["live, where they take hours", "simulated"],
)
def test_insiders_institutions_ratings_and_news_are_loaded_before_the_scores(
    spec: stack.Spec, beside: set[str], airflow: Airflow
) -> None:
    run(spec, said := [])
    assert airflow.awaited == [{"universe"}, {"sec_financials", *beside}, {"market_close"}, {demo.SCORES}]
    assert any("the first time some take hours" in line for line in said) is (not beside)


@pytest.mark.parametrize("command", ["up", "demo"])
@pytest.mark.parametrize(
    ("session", "said"),
    [
        ("friday", "SESSION=friday is no date: write YYYY-MM-DD"),
        ("2025-12-06", "SESSION=2025-12-06: 2025-12-06 is no XNYS session"),
        ("the calendar's last", "has not closed yet"),
    ],
)
def test_what_is_no_closed_session_is_refused_before_anything_starts(
    command: str, session: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if session == "the calendar's last":  # a year ahead
        session = str(calendar().last_session.date())
    monkeypatch.setattr(stack, "up", lambda *_: pytest.fail("a stack was started"))
    monkeypatch.setattr(sys, "argv", ["closingbell", command, "--session", session])
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert said in capsys.readouterr().err


class Runs:
    """Two runs side by side: each question moves both a step on."""

    base_url = "http://localhost"

    def __init__(self, **states: list[str]) -> None:
        self.states = states

    def run(self, dag_id: str, _: str) -> dict[str, Any]:
        states = self.states[dag_id]
        return {"state": states.pop(0) if len(states) > 1 else states[0], "partition_key": None}

    def tasks(self, dag_id: str, _: str) -> list[dict[str, Any]]:
        task = {"dag_id": dag_id, "task_id": "land", "map_index": -1, "try_number": 1, "end_date": "2025-12-05"}
        return [task | {"state": state} for state in ("success", self.states[dag_id][0])]

    def log(self, task: dict[str, Any]) -> list[str]:
        return [f"{task['dag_id']} said why"]


def test_runs_side_by_side_are_waited_for_until_the_last_has_ended(monkeypatch, capsys) -> None:
    monkeypatch.setattr(demo.time, "sleep", lambda _: None)
    api = Runs(one=["running", "success"], other=["running", "running", "success"])
    demo.finish_all(api, {"one": "1", "other": "2"}, demo.Progress())
    assert [line.split(":")[0].strip() for line in capsys.readouterr().err.splitlines()[-2:]] == ["one", "other"]


def test_one_of_several_runs_that_fails_ends_the_demo_with_its_reason(monkeypatch) -> None:
    monkeypatch.setattr(demo.time, "sleep", lambda _: None)
    with pytest.raises(demo.DemoFailed, match=r"other: task land failed .* other said why"):
        demo.finish_all(Runs(one=["running"], other=["running", "failed"]), {"one": "1", "other": "2"}, demo.Progress())
