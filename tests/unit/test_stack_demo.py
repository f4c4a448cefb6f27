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


def test_a_stack_that_only_starts_says_what_it_does_with_session_and_tickers() -> None:
    started = stack.State(spec=stack.Spec(), id="0", server="", last_session="2025-12-05")
    assert demo.for_runs(started, session="", tickers=[]) == ""
    said = demo.for_runs(started, session="2025-12-04", tickers=["AAPL", "NVDA"])
    assert "SESSION     2025-12-04: no run was started; `make demo`" in said
    assert "TICKERS     AAPL,NVDA: this stack's runs take everybody" in said
    with pytest.raises(demo.DemoFailed, match="vendors end with 2025-12-05"):
        demo.for_runs(started, session="2025-12-08", tickers=[])
    live = stack.State(spec=LIVE, id="0", server="")  # whose every run takes only its list
    assert demo.for_runs(live, session="", tickers=["AAPL", "COST"]) == ""


@pytest.mark.parametrize("spec", [LIVE, stack.Spec()], ids=["live without a key", "simulated"])
def test_everything_runs_by_itself_after_the_demo(spec: stack.Spec, airflow: Airflow) -> None:
    assert run(spec, []) == "board"
    assert airflow.unpaused == {*demo.DAGS, "reconcile", "housekeeping"}
