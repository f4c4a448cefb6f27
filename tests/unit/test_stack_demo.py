"""The demo's runs, on an Airflow that is only pretended: which DAGs it leaves to the scheduler."""

from __future__ import annotations

from typing import Any

import pytest

from closingbell import demo, stack

LIVE = stack.Spec(mode="live", tickers="AAPL,COST")


class Airflow:
    """Remembers which DAGs run."""

    def __init__(self) -> None:
        self.unpaused: set[str] = set()

    def unpause(self, dag_id: str) -> None:
        self.unpaused.add(dag_id)

    def runs(self, dag_id: str, **_: Any) -> list[dict[str, Any]]:
        return []


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    api = Airflow()
    monkeypatch.setattr(stack.State, "airflow", lambda _: api)
    monkeypatch.setattr(demo, "await_dags", lambda *_: None)
    monkeypatch.setattr(demo, "start", lambda *_: "run")
    monkeypatch.setattr(demo, "consumer", lambda *_: "run")
    monkeypatch.setattr(demo, "finish", lambda *_: None)
    monkeypatch.setattr(demo, "board", lambda *_: "board")
    return api


def run(spec: stack.Spec, said: list[str]) -> str:
    state = stack.State(spec=spec, id="0", server="", last_session="2025-12-05")
    return demo.demo(state, session="", tickers=[], say=said.append)


@pytest.mark.parametrize("spec", [LIVE, stack.Spec()], ids=["live without a key", "simulated"])
def test_everything_runs_by_itself_after_the_demo(spec: stack.Spec, airflow: Airflow) -> None:
    assert run(spec, []) == "board"
    assert airflow.unpaused == {*demo.DAGS, "reconcile", "housekeeping"}
