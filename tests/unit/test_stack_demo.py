"""The demo's runs, on an Airflow that is only pretended: which DAGs it leaves to the scheduler."""

from __future__ import annotations

from typing import Any

import pytest

from closingbell import demo, stack
from closingbell.airflow_api import AirflowError

LIVE = stack.Spec(mode="live")


class Airflow:
    """Remembers which DAGs run."""

    def __init__(self) -> None:
        self.unpaused: set[str] = set()

    def unpause(self, dag_id: str) -> None:
        self.unpaused.add(dag_id)

    def patch(self, path: str, body: dict[str, Any]) -> None:
        assert body == {"is_paused": True}
        self.unpaused.discard(path.removeprefix("/dags/"))

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


def test_without_a_key_nothing_asks_yahoo_for_the_whole_market_later(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "dotenv", lambda: {})
    said: list[str] = []
    assert run(LIVE, said) == "board"
    assert airflow.unpaused == {"sec_financials", "scores_and_recommendations"}
    assert any("universe and market_close are paused again" in line for line in said)


def test_a_demo_that_fails_pauses_them_too(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "dotenv", lambda: {})

    def fails(*_: object) -> None:
        raise AirflowError("universe failed")

    monkeypatch.setattr(demo, "finish", fails)
    with pytest.raises(AirflowError, match="universe failed"):
        run(LIVE, [])
    assert airflow.unpaused == set()


@pytest.mark.parametrize("spec", [LIVE, stack.Spec()], ids=["live with a key", "simulated"])
def test_with_a_key_or_a_sandbox_everything_runs(
    spec: stack.Spec, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "dotenv", lambda: {"POLYGON_API_KEY": "p"})
    run(spec, [])
    assert airflow.unpaused == {*demo.DAGS, "reconcile", "housekeeping"}
